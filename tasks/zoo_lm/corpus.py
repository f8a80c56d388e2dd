"""A folder of Python sources as three long strings of bytes, split by file."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import zoo

LEFT_OUT = frozenset(
    [
        *("site-packages", "dist-packages", "__pycache__"),  # not the library
        *("test", "tests", "idle_test"),
        *("encodings", "pydoc_data"),  # tables written by a program
        # what distributions package apart, or later versions dropped
        *("idlelib", "turtledemo", "tkinter", "lib2to3", "distutils", "ensurepip"),
    ]
)
MACHINE = ("_sysconfigdata", "config-", "sitecustomize", "usercustomize")
"""Beginnings of names of files and folders that differ from machine to machine."""
PARTS = 20
"""By the hash of its path, a file in 20 is for testing and another one for validation."""


class Corpus(NamedTuple):
    """The bytes of each split, its files one after the other in order of their paths."""

    splits: dict[zoo.Split, NDArray[np.uint8]]
    files: int
    sha256: str
    """Of every path, size and content."""


def read(root: Path) -> Corpus:
    """All `*.py` below ``root``; raises DataError when there is none or one cannot be read."""
    whole = sha256()
    pieces: dict[zoo.Split, list[bytes]] = {"train": [], "valid": [], "test": []}
    paths = sorted(sources(root), key=Path.as_posix)
    for path in paths:
        try:
            content = (root / path).read_bytes()
        except OSError as error:
            raise zoo.DataError(f"{root / path}: {error.strerror}; see its permissions") from error
        whole.update(f"{path.as_posix()}\0{len(content)}\0".encode() + content)
        pieces[split_of(path)].append(content)
    if not paths:
        raise zoo.DataError(
            f"{root}: no *.py to read; where the standard library is zipped or comes without "
            "sources, give a folder that has some: task.root=/folder/of/python"
        )
    splits = {split: np.frombuffer(b"".join(some), np.uint8) for split, some in pieces.items()}
    return Corpus(splits, len(paths), whole.hexdigest())


def sources(root: Path) -> Iterator[Path]:
    """Paths relative to ``root``; what is left out is not even walked, it may be enormous."""
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in LEFT_OUT and not name.startswith(MACHINE)]
        for name in names:
            if name.endswith(".py") and not name.startswith(MACHINE):
                yield Path(folder, name).relative_to(root)


def split_of(path: Path) -> zoo.Split:
    """A file keeps its split whatever other files there are."""
    part = int(sha256(path.as_posix().encode()).hexdigest(), 16) % PARTS
    return "test" if part == 0 else "valid" if part == 1 else "train"
