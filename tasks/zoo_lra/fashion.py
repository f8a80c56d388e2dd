"""Fashion-MNIST out of its idx files, a stand-in for CIFAR-10's pictures."""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np

import zoo
from zoo_lra.copies import Copies
from zoo_lra.pictures import Pictures, framed
from zoo_lra.rows import Bytes
from zoo_lra.sources import FASHION_MNIST

NAMES = {"train": "train", "test": "t10k"}
FILES = [f"{name}-{kind}" for name in NAMES.values() for kind in ("images-idx3", "labels-idx1")]
COUNTS = {"train": 60_000, "test": 10_000}
SYSTEM = "usr/share/datasets/fashion-mnist"
UNSIGNED_BYTES = 8
"""How an idx file says that its numbers are bytes."""


def find(root: Path) -> Path | None:
    """The folder of the four files; ``root`` may be one of them."""
    tails = ("", "raw", "FashionMNIST/raw", "fashion-mnist", SYSTEM)
    folders = [root.parent] if root.is_file() else [root / tail for tail in tails]
    return next((at for at in folders if all(_file(at, name) for name in FILES)), None)


def installed() -> Path | None:
    """Where Debian's package puts it."""
    return find(Path("/") / SYSTEM)


COPIES = Copies(
    FASHION_MNIST,
    "the folder of train-images-idx3-ubyte(.gz) and the others",
    find,
    installed,
    instead=(),
)


def read(place: Path) -> dict[str, Pictures]:
    """Train and test, framed in black to 32 x 32. Raises DataError."""
    return {split: _split(place, name) for split, name in NAMES.items()}


def _split(place: Path, name: str) -> Pictures:
    pixels, labels = (_read(place, f"{name}-{kind}") for kind in ("images-idx3", "labels-idx1"))
    good = pixels.shape[1:] == (28, 28) and labels.shape == pixels.shape[:1]
    if not good or labels.max(initial=0) > 9:
        raise zoo.DataError(
            f"{place}: {name} has pictures {pixels.shape} with labels {labels.shape} up to "
            f"{labels.max(initial=0)}; wanted (n, 28, 28) with n labels from 0 to 9"
        )
    return Pictures(framed(pixels), labels)


def _file(folder: Path, name: str) -> Path | None:
    """As released, or unzipped, or with the dot that some unpackers put."""
    written = (name, name.replace("-idx", ".idx"))
    paths = [folder / f"{stem}-ubyte{tail}" for stem in written for tail in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def _read(folder: Path, name: str) -> Bytes:
    path = _file(folder, name)
    assert path is not None
    try:
        data = path.read_bytes()
        return parsed(gzip.decompress(data) if path.suffix == ".gz" else data, str(path))
    except (EOFError, zlib.error, OSError) as error:
        raise zoo.DataError(f"{path} cannot be read: {error}") from error


def parsed(data: bytes, where: str) -> Bytes:
    """The array of an idx file: 0, 0, type, axes, then sizes of 4 bytes, big end first."""
    kind, axes = (data[2], data[3]) if data[:2] == b"\0\0" and len(data) > 3 else (0, 0)
    if kind != UNSIGNED_BYTES or not 1 <= axes <= 3 or len(data) < 4 + 4 * axes:
        raise zoo.DataError(
            f"{where} is no idx file of bytes: it begins with {data[:4].hex(' ')}; wanted "
            "00 00 08 and 01 or 03"
        )
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    found = len(data) - 4 - 4 * axes
    if found != prod(shape):
        raise zoo.DataError(f"{where} promises {shape} and has {found:,} bytes after its head")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
