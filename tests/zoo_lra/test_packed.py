"""Texts are read once and kept: whole, fresh, shared, and somewhere that can be written to."""

import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra.packed import Corpus, Example, gathered, packed

EXAMPLES = [
    Example("train", 1, (b"one", b"")),
    Example("test", 0, ("zwölf".encode(), b"\x00\xff")),
    Example("train", 0, (b"three" * 100, b"four")),
]


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    path = tmp_path / "copy" / "released.tsv"
    path.parent.mkdir()
    path.write_bytes(b"as released")
    return path


class Reader:
    """Counts how often the data set is read."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples, self.times = examples, 0

    def __call__(self) -> Iterator[Example]:
        self.times += 1
        yield from self.examples


def texts(corpus: Corpus) -> list[Example]:
    found = []
    for split, rows in corpus.splits.items():
        taken = rows.take(np.arange(len(rows.offsets) - 1))
        for number, label in enumerate(rows.labels.tolist()):
            pair = (taken[2 * number].tobytes(), taken[2 * number + 1].tobytes())
            found.append(Example(split, label, pair))
    return found


def test_what_is_read_once_is_the_same_again(origin: Path) -> None:
    reader = Reader(EXAMPLES)
    first = packed(origin.parent, "pairs", [origin], reader)
    again = packed(origin.parent, "pairs", [origin], reader)
    assert reader.times == 1
    assert sorted(texts(first)) == sorted(texts(again)) == sorted(EXAMPLES)
    assert first.counts == {"train": 2, "test": 1}
    assert first.sha256 == again.sha256 == gathered(EXAMPLES).sha256


def test_the_checksum_is_of_texts_bounds_and_labels_split_by_split() -> None:
    told = sha256(b"test" + "zwölf".encode() + b"\x00\xff")
    told.update(np.array([0, 6, 8], "<i8").tobytes() + b"\x00")
    told.update(b"train" + b"one" + b"three" * 100 + b"four")
    told.update(np.array([0, 3, 3, 503, 507], "<i8").tobytes() + b"\x01\x00")
    assert gathered(EXAMPLES).sha256 == told.hexdigest()


@pytest.mark.parametrize("content", [b"as released, but longer", b"AS RELEASED"])
def test_a_changed_data_set_is_read_again(origin: Path, content: bytes) -> None:
    reader = Reader(EXAMPLES)
    packed(origin.parent, "pairs", [origin], reader)
    origin.write_bytes(content)
    os.utime(origin, (1, 1))
    reader.examples = EXAMPLES[:2]
    assert packed(origin.parent, "pairs", [origin], reader).counts == {"train": 1, "test": 1}
    assert reader.times == 2


@pytest.mark.parametrize("writable", [True, False])
def test_only_the_last_pack_is_kept(
    origin: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    """Of this set in this folder; those of others, and of other folders, stay."""
    monkeypatch.setattr(os, "access", lambda path, mode: writable)
    home = origin.parent if writable else zoo.data_folder() / "packed"
    packed(origin.parent, "pairs-easy", [origin], Reader(EXAMPLES))
    other = origin.parent / "other"
    other.mkdir()
    packed(other, "pairs", [origin], Reader(EXAMPLES))
    before = set(home.glob("*.packed"))
    for size in range(1, 4):
        origin.write_bytes(b"!" * size)
        packed(origin.parent, "pairs", [origin], Reader(EXAMPLES))
        (kept,) = set(home.glob("*.packed")) - before
        assert before < set(home.glob("*.packed"))
        half = kept.with_name(f".{kept.name}-killed")
        half.mkdir()
    origin.write_bytes(b"anew")
    packed(origin.parent, "pairs", [origin], Reader(EXAMPLES))
    assert not half.exists()


def test_what_cannot_be_read_is_named(origin: Path) -> None:
    def unreadable() -> Iterator[Example]:
        yield EXAMPLES[0]
        raise PermissionError(13, "Permission denied", "12_9.txt")

    with pytest.raises(zoo.DataError, match=r"^12_9\.txt cannot be read: Permission denied$"):
        packed(origin.parent, "pairs", [origin], unreadable)


@pytest.mark.parametrize("left", [-1, 0])
@pytest.mark.parametrize(
    "damaged", ["train.texts", "train.labels.npy", "train.offsets.npy", "pack.json"]
)
def test_a_damaged_pack_is_made_again(origin: Path, damaged: str, left: int) -> None:
    reader = Reader(EXAMPLES)
    packed(origin.parent, "pairs", [origin], reader)
    (folder,) = origin.parent.glob("*.packed")
    content = (folder / damaged).read_bytes()
    (folder / damaged).write_bytes(content[:left])
    assert sorted(texts(packed(origin.parent, "pairs", [origin], reader))) == sorted(EXAMPLES)
    assert reader.times == 2


@pytest.mark.parametrize("name", ["train.texts", "train.offsets.npy", "test.labels.npy"])
def test_a_flipped_bit_is_seen(origin: Path, name: str) -> None:
    reader = Reader(EXAMPLES)
    packed(origin.parent, "pairs", [origin], reader)
    (folder,) = origin.parent.glob("*.packed")
    content = bytearray((folder / name).read_bytes())
    content[0 if name.endswith("texts") else 128] ^= 1
    (folder / name).write_bytes(content)
    assert sorted(texts(packed(origin.parent, "pairs", [origin], reader))) == sorted(EXAMPLES)
    assert reader.times == 2


def test_what_was_interrupted_leaves_nothing(origin: Path) -> None:
    def broken() -> Iterator[Example]:
        yield EXAMPLES[0]
        raise zoo.DataError("line 2 is damaged")

    with pytest.raises(zoo.DataError, match="line 2"):
        packed(origin.parent, "pairs", [origin], broken)
    assert {path.name for path in origin.parent.iterdir()} == {origin.name, ".pairs.lock"}
    assert packed(origin.parent, "pairs", [origin], Reader(EXAMPLES)).counts["train"] == 2


def test_a_folder_that_cannot_be_written_to_is_left_alone(
    origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = os.access
    monkeypatch.setattr(os, "access", lambda p, m: Path(p) != origin.parent and mine(p, m))
    reader = Reader(EXAMPLES)
    for _ in range(2):
        assert sorted(texts(packed(origin.parent, "pairs", [origin], reader))) == sorted(EXAMPLES)
    assert reader.times == 1
    assert list(origin.parent.iterdir()) == [origin]
    assert len(list((zoo.data_folder() / "packed").glob("pairs-*.packed"))) == 1


def test_several_at_once_share_the_work(origin: Path) -> None:
    reader = Reader(EXAMPLES)
    sums: list[str] = []

    def work() -> None:
        sums.append(packed(origin.parent, "pairs", [origin], reader).sha256)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [gathered(EXAMPLES).sha256] * 4
    assert reader.times == 1
