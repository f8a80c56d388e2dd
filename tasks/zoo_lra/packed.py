"""Texts in one place: what was read once from 50,000 files or gigabytes, memory-mapped."""

import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    and time) are read again; two processes share the work; an interrupted one leaves nothing.
    Raises what ``examples`` does, DiskFull, and DataError where nothing can be written at all.
    """
    away = zoo.data_folder() / "packed"
    places = [
        beside / f"{name}-{_mark(origin)}.packed",
        away / f"{name}-{_mark(origin, str(beside.resolve()))}.packed",
    ]
    for place in places:
        if found := _opened(place):
            return found
    place = places[0] if os.access(beside, os.W_OK) else places[1]
    with zoo.storing(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            found = _opened(place)  # another process may have made it meanwhile
            if found is None:
                _make(place, examples())
                found = _opened(place)
    assert found is not None
    return found


def checksum(splits: Mapping[str, Ragged]) -> str:
    """Of names, texts, bounds and labels; the same on every machine."""
    whole = sha256()
    for split in sorted(splits):
        tokens, offsets, labels = splits[split]
        whole.update(split.encode())
        for part in (tokens, offsets.astype("<i8", copy=False), labels):
            whole.update(np.ascontiguousarray(part).data)
    return whole.hexdigest()


def _mark(origin: Sequence[Path], where: str = "") -> str:
    """A fingerprint of the files, that stands in the name of what was made of them."""
    states = [(path.name, path.stat()) for path in origin]
    told = [[name, state.st_size, state.st_mtime_ns] for name, state in states]
    return sha256(json.dumps([FORMAT, where, told]).encode()).hexdigest()[:12]


def _make(place: Path, examples: Iterable[Example]) -> None:
    """Write all into a folder beside, then rename it whole."""
    shutil.rmtree(place, ignore_errors=True)  # damaged, or it would have been opened
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
    """What was packed before, if it is whole: as many rows, texts and bytes as were written."""
    try:
        content = json.loads((place / "pack.json").read_text())
        splits = {split: _split(place, split) for split in content["splits"]}
    except (OSError, ValueError, KeyError):
        return None
    for split, rows in splits.items():
        found = [len(rows.labels), len(rows.offsets) - 1, len(rows.tokens)]
        if found != content["splits"][split] or rows.offsets[-1] != len(rows.tokens):
            return None
    return Corpus(splits, content["sha256"])
