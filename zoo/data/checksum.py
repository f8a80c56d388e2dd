"""Checksums of files, as `sha256:...` or `md5:...`."""

import hashlib
from pathlib import Path
from typing import Any

BLOCK = 2**20


def hasher(digest: str | None) -> Any:
    """An empty hash of the kind that ``digest`` is of; sha256 when there is none to compare."""
    kind = (digest or "sha256:").partition(":")[0]
    if kind not in ("md5", "sha256"):
        raise ValueError(f"digest={digest!r}: write sha256:... or md5:...")
    return hashlib.new(kind, usedforsecurity=False)


def absorb(into: Any, path: Path) -> Any:
    """``into`` after it has read ``path``."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            into.update(block)
    return into


def sha256(path: Path) -> str:
    """The plain hex digest."""
    return str(absorb(hashlib.sha256(), path).hexdigest())


def mismatch(found: Any, digest: str | None) -> str | None:
    """What is wrong with a finished hash; None when it is right or there is nothing to compare."""
    if digest is None:
        return None
    kind, _, wanted = digest.partition(":")
    got = found.hexdigest()
    return None if got == wanted.lower() else f"its {kind} is {got}, not {wanted.lower()}"


def complaint(path: Path, size: int | None, digest: str | None) -> str | None:
    """What is wrong with a whole file; None when nothing is."""
    there = path.stat().st_size
    if size is not None and there != size:
        return f"it has {there:,} bytes, not {size:,}"
    return mismatch(absorb(hasher(digest), path), digest) if digest else None
