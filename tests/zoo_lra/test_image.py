"""Image: pixels as tokens or as numbers, splits as each protocol has them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset, random_split

import zoo
from zoo_lra import cifar
from zoo_lra.image import Image
from zoo_lra.pictures import Pictures
from zoo_lra.rows import Bytes

TRAIN, TEST = 100, 20


def write(folder: Path) -> Path:
    for name, count in (("train", TRAIN), ("t10k", TEST)):
        pixels = np.zeros((count, 28, 28), np.uint8)
        pixels[:, 0, 0], pixels[:, 27, 27] = np.arange(count), 255  # a picture says which it is
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            sizes = b"".join(struct.pack(">I", size) for size in array.shape)
            data = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
    return folder


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    return str(write(tmp_path))


def numbers(task: Image, split: zoo.Split) -> list[int]:
    """Which pictures of the file a split holds."""
    rows = task.splits[split]
    return [int(row[2 * 32 + 2]) for row in rows.take(np.arange(len(rows.labels)))]


def test_the_last_tenth_validates(fashion: str) -> None:
    task = Image(data="fashion-mnist", root=fashion, budget="gpu")
    assert sorted(numbers(task, "train")) == list(range(90))
    assert sorted(numbers(task, "valid")) == list(range(90, 100))
    assert sorted(numbers(task, "test")) == list(range(20))
    splits: tuple[zoo.Split, ...] = ("train", "valid", "test")
    for split in splits:
        labels = task.splits[split].labels.tolist()
        assert labels == [number % 10 for number in numbers(task, split)]


def test_s4_splits_as_torch_does_with_its_seed(fashion: str) -> None:
    task = Image(data="fashion-mnist", root=fashion, budget="gpu", protocol="s4")
    everything = TensorDataset(torch.arange(100))
    seed = torch.Generator().manual_seed(42)
    train, valid = random_split(everything, [90, 10], generator=seed)
    assert set(numbers(task, "train")) == set(train.indices)
    assert set(numbers(task, "valid")) == set(valid.indices)


def test_pixels_are_tokens_or_scaled_numbers(fashion: str) -> None:
    tokens = next(Image(data="fashion-mnist", root=fashion).batches("test", 4))
    assert tokens.inputs.shape == (4, 1024)
    assert tokens.lengths is None
    assert tokens.inputs[:, -2 * 32 - 3].tolist() == [255] * 4
    assert tokens.inputs[:, :66].sum() == 0
    s4 = Image(data="fashion-mnist", root=fashion, protocol="s4")
    reals = next(s4.batches("test", 4))
    assert s4.real
    assert reals.inputs.shape == (4, 1024, 1)
    scaled = (tokens.inputs.double() - 122.6) / 61
    torch.testing.assert_close(reals.inputs[..., 0].double(), scaled, rtol=1e-6, atol=1e-6)


def test_cifar_is_grey_as_the_protocol_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    green = np.tile(np.array([0, 255, 0], np.uint8), (10, 1024, 1))

    def read(place: Path, grey: Callable[[Bytes], Bytes]) -> dict[str, Pictures]:
        pictures = Pictures(grey(green), np.arange(10, dtype=np.uint8))
        return {"train": pictures, "test": pictures}

    monkeypatch.setattr(cifar, "read", read)
    copy = tmp_path / "cifar-10-python.tar.gz"
    copy.touch()
    tokens = next(Image(root=str(copy)).batches("test", 10)).inputs
    assert set(tokens.flatten().tolist()) == {149}  # TensorFlow's
    reals = next(Image(root=str(copy), protocol="s4").batches("test", 10)).inputs
    torch.testing.assert_close(reals, torch.full_like(reals, (150 - 122.6) / 61))  # Pillow's


def test_a_picture_is_shown_as_rows(fashion: str) -> None:
    task = Image(data="fashion-mnist", root=fashion)
    shown = task.text(next(task.batches("test", 1)).inputs[0].tolist()).split("\n")
    assert [len(line) for line in shown] == [32] * 32
    assert shown[29] == " " * 29 + "@  "


def test_the_id_is_known_without_the_data(
    fashion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "none"))
    absent = Image()
    assert absent.identity()["pictures"] == {"train": 50_000, "test": 10_000}
    assert "zoo data fetch cifar10" in str(absent.missing())
    assert "task.data=fashion-mnist" in str(absent.missing())
    found = Image(data="fashion-mnist", root=fashion)
    assert found.identity()["pictures"] == {"train": TRAIN, "test": TEST}
    assert found.variant == "fashion-mnist"
    assert len({absent.id, found.id, Image(protocol="s4").id}) == 3


def test_small_budgets_have_every_class(fashion: str) -> None:
    task = Image(data="fashion-mnist", root=fashion, budget="gpu")
    assert sorted(task.splits["train"].labels[:20].tolist()) == sorted([*range(10)] * 2)
    assert task.chance == {"accuracy": 0.1}
    assert numbers(task, "train")[:6] == [
        30,
        61,
        32,
        43,
        14,
        25,
    ]  # part of the id: raise the version
    assert np.bincount(task.splits["test"].labels).tolist() == [2] * 10
