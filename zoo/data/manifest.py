"""The manifest of a fetched folder: what is in it, of what size and checksum, and from where.

It is written last, so a folder with a manifest was whole once.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo.data.advance import advancing
from zoo.data.checksum import sha256
from zoo.record import atomic_write

NAME = "manifest.json"
SCHEMA = 1


def write(folder: Path, source: str, origins: Sequence[str]) -> None:
    """Describe every file that is in ``folder`` now."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    with advancing(f"{source}: checksums", len(paths)) as advance:
        files = {}
        for path in paths:
            relative = path.relative_to(folder).as_posix()
            files[relative] = {"size": path.stat().st_size, "sha256": sha256(path)}
            advance()
    whole = {
        "schema_version": SCHEMA,
        "source": source,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": list(origins),
        "files": files,
    }
    atomic_write(folder / NAME, json.dumps(whole, indent=1).encode())


def intact(folder: Path) -> bool:
    """Whether there is a manifest and every file of it, of the right size; reads no file."""
    files = _files(folder)
    return files is not None and all(
        _size(folder / name) == entry["size"] for name, entry in files.items()
    )


def damages(folder: Path, source: str) -> list[str]:
    """One complaint for each file that is not what the manifest says."""
    files = _files(folder)
    if files is None:
        return [f"{folder / NAME} is missing or cannot be read"]
    found = []
    with advancing(
        f"{source}: verifying", sum(e["size"] for e in files.values()), unit="bytes"
    ) as (advance):
        for name, entry in files.items():
            wrong = _damage(folder / name, entry["size"], entry["sha256"])
            if wrong:
                found.append(f"{folder / name} {wrong}")
            advance(entry["size"])
    return found


def _damage(path: Path, size: int, digest: str) -> str | None:
    """What is wrong with one file."""
    there = _size(path)
    if there is None:
        return "is missing"
    if there != size:
        return f"has {there:,} bytes, not {size:,}"
    try:
        return None if sha256(path) == digest else "is damaged: its sha256 has changed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _files(folder: Path) -> Mapping[str, Any] | None:
    """The files by relative path; None when there is no manifest that can be read."""
    try:
        files = json.loads((folder / NAME).read_bytes())["files"]
        return {
            str(name): {"size": int(e["size"]), "sha256": e["sha256"]} for name, e in files.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
