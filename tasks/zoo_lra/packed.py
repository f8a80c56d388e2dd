"""Texts in one place: what was read once from 50,000 files or gigabytes, memory-mapped."""

import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from filelock import FileLock

import zoo
from zoo_lra.rows import Ragged

FORMAT = 1
"""Raised when the same texts are kept differently."""
ALWAYS = 256 * 2**20
"""Bytes of a pack up to which its checksum is compared whenever it is opened."""


class Example(NamedTuple):
    """One text, or two of a pair, as read from the data set."""

    split: str
    label: int
    texts: tuple[bytes, ...]


class Corpus(NamedTuple):
    """All texts of a data set, bytes by split, and what to say of them in a record."""

    splits: Mapping[str, Ragged]
    sha256: str
    """Of the texts and labels in their order, however they were packed."""

    @property
    def counts(self) -> dict[str, int]:
        """Examples by split."""
        return {split: len(rows.labels) for split, rows in self.splits.items()}


def gathered(examples: Iterable[Example]) -> Corpus:
    """The same in memory, for a data set that is read fast enough every time."""
    kept: dict[str, list[Example]] = {}
    for example in examples:
        kept.setdefault(example.split, []).append(example)
    splits: dict[str, Ragged] = {}
    for split, mine in kept.items():
        texts = [text for example in mine for text in example.texts]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        tokens = np.frombuffer(b"".join(texts), np.uint8)
        splits[split] = Ragged(tokens, ends, np.array([one.label for one in mine], np.uint8))
    return Corpus(splits, checksum(splits))


def packed(
    beside: Path, name: str, origin: Sequence[Path], examples: Callable[[], Iterable[Example]]
) -> Corpus:
    """Texts of the files or folders ``origin``, read by ``examples`` once and kept in ``beside``.

    Where nothing can be written there, they are kept in the data folder. Changed files (by size
    and time) are read again, and what was kept of them goes; two processes share the work; an
    interrupted one leaves nothing, a killed one what the next sweeps away. Raises what
    ``examples`` does, DiskFull, and DataError where nothing can be read or written.
    """
    mark = _mark(origin)
    elsewhere = sha256(str(beside.resolve()).encode()).hexdigest()[:12]
    homes = [(beside, name), (zoo.data_folder() / "packed", f"{name}-{elsewhere}")]
    for home, stem in homes:
        if found := _opened(home / f"{stem}-{mark}.packed"):
            return found
    home, stem = homes[0] if os.access(beside, os.W_OK) else homes[1]
    place = home / f"{stem}-{mark}.packed"
    with zoo.storing(home):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f".{stem}.lock"):
            found = _opened(place)  # another process may have made it meanwhile
            if found is None:
                _sweep(home, stem)
                _make(place, _read(examples))
                found = _opened(place)
    assert found is not None
    return found


def _read(examples: Callable[[], Iterable[Example]]) -> Iterator[Example]:
    """All of them; what cannot be read is not mistaken for what cannot be written."""
    try:
        yield from examples()
    except OSError as error:
        raise zoo.DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def _sweep(home: Path, stem: str) -> None:
    """Take away what was made of files that have changed since, and what was left half made."""
    mark = "[0-9a-f]" * 12
    for pattern in (f"{stem}-{mark}.packed", f".{stem}-{mark}.packed-*"):
        for old in home.glob(pattern):
            shutil.rmtree(old, ignore_errors=True)


def checksum(splits: Mapping[str, Ragged]) -> str:
    """Of names, texts, bounds and labels; the same on every machine."""
    whole = sha256()
    for split in sorted(splits):
        tokens, offsets, labels = splits[split]
        whole.update(split.encode())
        for part in (tokens, offsets.astype("<i8", copy=False), labels):
            whole.update(np.ascontiguousarray(part).data)
    return whole.hexdigest()


def _mark(origin: Sequence[Path]) -> str:
    """A fingerprint of the files, that stands in the name of what was made of them."""
    states = [(path.name, path.stat()) for path in origin]
    told = [[name, state.st_size, state.st_mtime_ns] for name, state in states]
    return sha256(json.dumps([FORMAT, told]).encode()).hexdigest()[:12]


def _make(place: Path, examples: Iterable[Example]) -> None:
    """Write all into a folder beside, then rename it whole."""
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        sizes = _write(folder, examples)
        splits = {split: _split(folder, split) for split in sizes}
        content = {"splits": sizes, "sha256": checksum(splits)}
        (folder / "pack.json").write_text(json.dumps(content, indent=1))
        folder.chmod(0o755)
        folder.rename(place)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(folder: Path, examples: Iterable[Example]) -> dict[str, list[int]]:
    """Rows, texts and bytes of each split; what is in memory is the bounds and labels alone."""
    files: dict[str, IO[bytes]] = {}
    bounds: dict[str, array[int]] = {}
    labels: dict[str, bytearray] = {}
    with ExitStack() as stack:
        for split, label, texts in examples:
            if split not in files:
                files[split] = stack.enter_context((folder / f"{split}.texts").open("wb"))
                bounds[split], labels[split] = array("q", [0]), bytearray()
            for text in texts:
                files[split].write(text)
                bounds[split].append(bounds[split][-1] + len(text))
            labels[split].append(label)
    for split, ends in bounds.items():
        np.save(folder / f"{split}.offsets.npy", np.array(ends, "<i8"))
        np.save(folder / f"{split}.labels.npy", np.frombuffer(labels[split], np.uint8))
    return {split: [len(labels[split]), len(ends) - 1, ends[-1]] for split, ends in bounds.items()}


def _split(folder: Path, split: str) -> Ragged:
    """One split, its texts memory-mapped."""
    offsets = np.load(folder / f"{split}.offsets.npy").astype(np.int64, copy=False)
    labels = np.load(folder / f"{split}.labels.npy")
    tokens = np.memmap(folder / f"{split}.texts", np.uint8, "r") if offsets[-1] else np.empty(0)
    return Ragged(tokens.astype(np.uint8, copy=False), offsets, labels)


def _opened(place: Path) -> Corpus | None:
    """What was packed before, if it is whole: so many rows, texts and bytes, and their checksum."""
    try:
        content = json.loads((place / "pack.json").read_text())
        splits = {split: _split(place, split) for split in content["splits"]}
        for split, rows in splits.items():
            found = [len(rows.labels), len(rows.offsets) - 1, len(rows.tokens)]
            if found != content["splits"][split] or rows.offsets[-1] != len(rows.tokens):
                return None
        small = sum(len(rows.tokens) for rows in splits.values()) <= ALWAYS
        if small and checksum(splits) != content["sha256"]:
            return None
        return Corpus(splits, content["sha256"])
    except (OSError, EOFError, ValueError, LookupError, TypeError):
        return None
