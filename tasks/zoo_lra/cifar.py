"""CIFAR-10 as released for Python: six pickles, unpacked or in their archive."""

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo_lra.copies import Copies, first
from zoo_lra.pictures import SIDE, Pictures
from zoo_lra.rows import Bytes
from zoo_lra.sources import CIFAR10

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]
TEST = ["test_batch"]
SPLITS = {"train": TRAIN, "test": TEST}
COUNTS = {"train": 50_000, "test": 10_000}
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-python.tar")
PIXELS = SIDE * SIDE


def find(root: Path) -> Path | None:
    """The archive itself, or the folder that holds the six files."""
    if root.is_file():
        return root
    folders = [root / tail for tail in ("", "cifar-10-batches-py", "cifar10/cifar-10-batches-py")]
    whole = (at for at in folders if all((at / name).is_file() for name in TRAIN + TEST))
    return next(whole, None) or first(root, ARCHIVES)


COPIES = Copies(
    CIFAR10,
    "cifar-10-batches-py/ (data_batch_1 ...), its parent, or cifar-10-python.tar.gz",
    find,
    instead=CIFAR10.instead,
)


def read(place: Path, grey: Callable[[Bytes], Bytes]) -> dict[str, Pictures]:
    """Train and test as grey pictures, in the order of the files. Raises DataError."""
    parts = {name: _batch(data, f"{place}: {name}", grey) for name, data in _files(place)}
    if absent := [name for name in TRAIN + TEST if name not in parts]:
        raise zoo.DataError(f"{place}: no {', '.join(absent)} in it; wanted {COPIES.wanted}")
    return {split: _joined([parts[name] for name in names]) for split, names in SPLITS.items()}


def _joined(parts: list[Pictures]) -> Pictures:
    return Pictures(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each of the six."""
    wanted = {*TRAIN, *TEST}
    try:
        if place.is_dir():
            for name in sorted(wanted):
                yield name, (place / name).read_bytes()
            return
        with tarfile.open(place) as archive:
            for member in archive:
                name = Path(member.name).name
                opened = archive.extractfile(member) if name in wanted and member.isfile() else None
                if opened:
                    yield name, opened.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        told = str(error).partition("\n")[0].rstrip(": ")  # tarfile lists all that it has tried
        raise zoo.DataError(f"{place} is no whole copy of CIFAR-10: {told}") from error


class _Plain(pickle.Unpickler):
    """A pickle may name any function to be called: here only those that make an array."""

    ALLOWED = {
        *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")),
        *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
        *("numpy.ndarray", "numpy.dtype", "_codecs.encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not data")
        return getattr(import_module(module.replace("numpy.core", "numpy._core")), name)


def _batch(data: bytes, where: str, grey: Callable[[Bytes], Bytes]) -> Pictures:
    """One pickle: {b"data": (n, 3072) red, green and blue planes, b"labels": n numbers}."""
    try:
        content = _Plain(io.BytesIO(data), encoding="bytes").load()
        planes, labels = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise zoo.DataError(f"{where} is no batch of CIFAR-10: {error!r}") from error
    good = planes.dtype == np.uint8 and planes.shape == (labels.size, 3 * PIXELS)
    digits = labels.ndim == 1 and labels.dtype.kind in "iu" and np.isin(labels, range(10)).all()
    if not (good and digits):
        raise zoo.DataError(
            f"{where}: data {planes.dtype} {planes.shape} with {labels.shape} labels; wanted uint8 "
            f"(n, {3 * PIXELS}) with n labels from 0 to 9"
        )
    colours = planes.reshape(-1, 3, PIXELS).swapaxes(1, 2)
    return Pictures(grey(colours), labels.astype(np.uint8))
