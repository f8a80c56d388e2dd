"""idx files, zipped or not, under the names that people have them."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import zoo
from zoo_lra import fashion

SOURCE = np.random.default_rng(0)
PIXELS = {
    name: SOURCE.integers(0, 256, (count, 28, 28), np.uint8)
    for name, count in (("train", 9), ("t10k", 4))
}
LABELS = {name: SOURCE.integers(0, 10, len(pixels), np.uint8) for name, pixels in PIXELS.items()}


def idx(array: NDArray[np.uint8]) -> bytes:
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write(folder: Path, form: str = "{}-{}-idx{}-ubyte.gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PIXELS:
        for kind, axes, array in (("images", 3, PIXELS[name]), ("labels", 1, LABELS[name])):
            path = folder / form.format(name, kind, axes)
            path.write_bytes(gzip.compress(idx(array)) if path.suffix == ".gz" else idx(array))
    return folder


@pytest.mark.parametrize("form", ["{}-{}-idx{}-ubyte.gz", "{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte"])
@pytest.mark.parametrize(
    "laid", ["", "FashionMNIST/raw", "raw", "usr/share/datasets/fashion-mnist"]
)
def test_files_are_found_and_framed(tmp_path: Path, form: str, laid: str) -> None:
    write(tmp_path / laid, form)
    read = fashion.read(fashion.COPIES.require(str(tmp_path), "lra/image"))
    for split, name in (("train", "train"), ("test", "t10k")):
        wanted = np.pad(PIXELS[name], ((0, 0), (2, 2), (2, 2)))
        assert np.array_equal(read[split].pixels, wanted.reshape(-1, 1024))
        assert np.array_equal(read[split].labels, LABELS[name])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>", "no idx file"),
        (b"", "no idx file"),
        (idx(LABELS["train"])[:-1], r"promises \(9,\) and has 8 bytes"),
        (idx(LABELS["train"]) + b"x", r"promises \(9,\) and has 10 bytes"),
        (b"\0\0\x0d\x01" + idx(LABELS["train"])[4:], "no idx file of bytes"),
        (idx(LABELS["train"][:-1]), r"labels \(8,\)"),
        (idx(LABELS["train"] + 10), "labels from 0 to 9"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    folder = write(tmp_path, "{}-{}-idx{}-ubyte")
    (folder / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(zoo.DataError, match=f"train.*{told}"):
        fashion.read(folder)


@pytest.mark.parametrize("shape", [(2**31, 2**31, 4), (9, 0, 0), (9, 32, 32), (0, 28, 28)])
def test_pictures_of_other_sizes_are_named(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    """The first has 2^64 bytes, which are none in 64 bits."""
    folder = write(tmp_path, "{}-{}-idx{}-ubyte")
    pixels = bytes(9 * 32 * 32 if shape == (9, 32, 32) else 0)
    head = bytes([0, 0, 8, 3]) + struct.pack(">III", *shape)
    (folder / "train-images-idx3-ubyte").write_bytes(head + pixels)
    with pytest.raises(zoo.DataError, match=r"train.*(promises|wanted)"):
        fashion.read(folder)


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path) / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(zoo.DataError, match=r"t10k-images-idx3-ubyte\.gz"):
        fashion.read(tmp_path)


def test_three_files_of_four_are_not_a_copy(tmp_path: Path) -> None:
    (write(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    told = fashion.COPIES.missing(str(tmp_path), "lra/image")
    assert told is not None
    assert "zoo data fetch fashion-mnist" in told


def test_a_users_copy_counts_before_the_fetched_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    fetched = write(tmp_path / "data" / "fashion-mnist")
    monkeypatch.setattr(zoo.Download, "here", lambda source: True)
    assert fashion.COPIES.place("") == fetched
    mine = write(tmp_path / "mine")
    assert fashion.COPIES.place(str(mine)) == mine
    assert fashion.COPIES.place(str(tmp_path / "nothing")) is None
