"""CIFAR-10's batches as released, made grey; pickles that are more than data are refused."""

import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import zoo
from zoo_lra import cifar
from zoo_lra.pictures import grey_pillow, grey_tensorflow

EACH = 4
"""Pictures per file here; 10,000 in the released ones."""


def python2_pickle(pixels: bytes, labels: list[int], rows: int) -> bytes:
    """A batch as Python 2 and its NumPy pickled it, instruction by instruction."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value if len(value) < 256 else long(value)

    def long(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    array += b"(K\x01(" + number(rows) + number(3072) + b"t" + dtype + b"\x89" + long(pixels)
    array += b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    pairs = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + listed
    return b"\x80\x02}(" + pairs + text(b"data") + array + b"u."


def batch(number: int) -> tuple[NDArray[np.uint8], list[int]]:
    source = np.random.default_rng(number)
    return source.integers(0, 256, (EACH, 3072), np.uint8), [
        (number + row) % 10 for row in range(EACH)
    ]


def write(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(cifar.TRAIN + cifar.TEST):
        pixels, labels = batch(number)
        (folder / name).write_bytes(python2_pickle(pixels.tobytes(), labels, EACH))
    (folder / "batches.meta").write_bytes(b"names")
    return folder


def archive(root: Path) -> Path:
    path = root / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(write(root / "elsewhere"), "cifar-10-batches-py")
    return path


def test_folder_and_archive_hold_the_same_grey_pictures(tmp_path: Path) -> None:
    unpacked = cifar.read(write(tmp_path), grey_tensorflow)
    archived = cifar.read(archive(tmp_path), grey_tensorflow)
    for split, numbers in (("train", range(5)), ("test", range(5, 6))):
        labels = [label for number in numbers for label in batch(number)[1]]
        planes = np.concatenate([batch(number)[0] for number in numbers]).astype(float)
        red, green, blue = planes.reshape(-1, 3, 1024).transpose(1, 0, 2)
        grey = np.floor((0.2989 * red + 0.587 * green + 0.114 * blue) / 255 * 255.5)
        for pictures in (unpacked[split], archived[split]):
            assert pictures.labels.tolist() == labels
            assert (pictures.pixels == grey).mean() > 0.999  # but for float64's own rounding


@pytest.mark.parametrize("pointed", ["", "cifar-10-batches-py", "cifar-10-batches-py/data_batch_1"])
def test_any_layer_may_be_pointed_at(tmp_path: Path, pointed: str) -> None:
    folder = write(tmp_path / "mine")
    if pointed.endswith("1"):
        pointed = str(archive(tmp_path / "mine").relative_to(tmp_path / "mine"))
        folder = tmp_path / "mine" / pointed
    assert cifar.COPIES.require(str(tmp_path / "mine" / pointed), "lra/image") == folder


class Evil:
    """What a pickle can do to who opens it."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return exec, ("import pathlib; pathlib.Path('evil').touch()",)


def test_a_pickle_that_calls_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path)
    evil = pickle.dumps({b"data": Evil(), b"labels": [0]})
    (folder / "data_batch_3").write_bytes(evil)
    with pytest.raises(zoo.DataError, match=r"data_batch_3 .*exec, which is not data"):
        cifar.read(folder, grey_tensorflow)
    assert not Path("evil").exists()
    pickle.load(io.BytesIO(evil))  # it would have
    assert Path("evil").exists()


def test_a_batch_that_today_s_python_made_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path)
    pixels, labels = batch(0)
    for protocol in (2, 5):
        saved = pickle.dumps({b"data": pixels, b"labels": labels}, protocol)
        (folder / "data_batch_1").write_bytes(saved)
        assert cifar.read(folder, grey_pillow)["train"].labels[:4].tolist() == labels


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no batch of CIFAR-10"),
        (python2_pickle(bytes(3072), [1, 2], 1), r"\(1, 3072\) with \(2,\) labels"),
        (python2_pickle(bytes(3072), [10], 1), "labels from 0 to 9"),
        (python2_pickle(bytes(3072), [1], 1)[:-20], "no batch of CIFAR-10"),
        (pickle.dumps([1, 2]), "no batch of CIFAR-10"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": 1}), r"with \(\) labels"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [[1]]}), r"\(1, 1\)"),
    ],
)
def test_a_damaged_batch_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    folder = write(tmp_path)
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(zoo.DataError, match=rf"test_batch.*{told}"):
        cifar.read(folder, grey_tensorflow)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(zoo.DataError, match=r"cifar-10-python\.tar\.gz"):
        cifar.read(path, grey_tensorflow)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(write(tmp_path) / "data_batch_1", "cifar-10-batches-py/data_batch_1")
    with pytest.raises(zoo.DataError, match=r"no data_batch_2, .*test_batch in it"):
        cifar.read(path, grey_tensorflow)


def test_a_link_in_an_archive_is_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere"
        tar.addfile(link)
    with pytest.raises(zoo.DataError, match="no data_batch_1, data_batch_2"):
        cifar.read(path, grey_tensorflow)


def test_grey_of_colours_known_elsewhere() -> None:
    """Pillow's documentation: L = R 299/1000 + G 587/1000 + B 114/1000."""
    colours = np.random.default_rng(0).integers(0, 256, (20_000, 3), np.uint8)
    exact = colours @ np.array([299, 587, 114]) / 1000
    assert np.abs(grey_pillow(colours) - exact).max() <= 0.51
    # TensorFlow's own chain in float32: to 0..1, weigh, times 255.5, cut
    unit = colours.astype(np.float32) * np.float32(1 / 255)
    weighed = unit @ np.array([0.2989, 0.587, 0.114], np.float32)
    float32 = (weighed * np.float32(255.5)).astype(np.uint8)
    assert (grey_tensorflow(colours) != float32).mean() < 1e-3
    ends = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    assert grey_tensorflow(ends).tolist() == [0, 255, 76, 149, 29]
    assert grey_pillow(ends).tolist() == [0, 255, 76, 150, 29]
