"""IMDB reviews out of the archive and out of the folder, whatever a user points at."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra import imdb

Key = tuple[str, int, int]
REVIEWS: dict[Key, bytes] = {
    (split, label, number): f"{split} {label} {number}: café <br />".encode()
    for split in ("train", "test")
    for label in (0, 1)
    for number in range(12)
}
NAMES = {
    f"aclImdb/{split}/{('neg', 'pos')[label]}/{number}_{3 + 5 * label}.txt": text
    for (split, label, number), text in REVIEWS.items()
}
BESIDES = {"aclImdb/train/unsup/0_0.txt": b"no label", "aclImdb/README": b"read me"}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))


def archive(path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, text in {**BESIDES, **dict(reversed(NAMES.items()))}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return path


def folder(root: Path) -> Path:
    for name, text in {**NAMES, **BESIDES}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text)
    return root / "aclImdb"


def test_archive_and_folder_are_the_same(tmp_path: Path) -> None:
    archived = imdb.read(archive(tmp_path / "aclImdb_v1.tar.gz"))
    unpacked = imdb.read(folder(tmp_path))
    plain = imdb.read(archive(tmp_path / "aclImdb.tar", "w"))
    assert archived.sha256 == unpacked.sha256 == plain.sha256
    for split, rows in archived.splits.items():
        wanted = [(key, text) for key, text in sorted(REVIEWS.items()) if key[0] == split]
        assert rows.labels.tolist() == [label for (_, label, _), _ in wanted]
        found = [row.tobytes() for row in rows.take(np.arange(len(wanted)))]
        assert found == [text for _, text in wanted]


@pytest.mark.parametrize("pointed", ["", "aclImdb", "aclImdb_v1.tar.gz"])
def test_any_layer_may_be_pointed_at(tmp_path: Path, pointed: str) -> None:
    root = tmp_path / "mine"
    folder(root) if pointed != "aclImdb_v1.tar.gz" else root.mkdir()
    if pointed == "aclImdb_v1.tar.gz":
        archive(root / pointed)
        assert imdb.COPIES.place(str(root)) == root / pointed
    place = imdb.COPIES.require(str(root / pointed), "lra/text")
    assert imdb.read(place).counts == {"train": 24, "test": 24}


def test_the_archive_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "aclImdb_v1.tar.gz")
    once = imdb.read(path)
    monkeypatch.setattr(imdb, "_archive", None)
    assert imdb.read(path).sha256 == once.sha256


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty"])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: str) -> None:
    path = archive(tmp_path / "aclImdb_v1.tar.gz")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1  # gzip's own checksum
    content = {"cut": whole[:-40], "flipped": bytes(flipped), "foreign": b"<html>", "empty": b""}
    path.write_bytes(content[damage])
    with pytest.raises(zoo.DataError, match=r"aclImdb_v1\.tar\.gz.*84,125,825"):
        imdb.read(path)


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("elsewhere/1.txt"))
    with pytest.raises(zoo.DataError, match=r"no train/neg/\*\.txt"):
        imdb.read(path)


@pytest.mark.parametrize("to", ["nowhere.txt", "99_9.txt"])
def test_a_link_in_an_archive_is_no_review(tmp_path: Path, to: str) -> None:
    path = archive(tmp_path / "aclImdb.tar", "w")
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("aclImdb/train/pos/99_9.txt")
        link.type, link.linkname = tarfile.SYMTYPE, to
        tar.addfile(link)
    assert imdb.read(path).counts == {"train": 24, "test": 24}


def test_a_folder_without_reviews_says_what_is_wanted(tmp_path: Path) -> None:
    told = imdb.COPIES.missing(str(tmp_path), "lra/text")
    assert told is not None
    assert "has nothing of imdb" in told
    assert "aclImdb_v1.tar.gz" in told
    assert "zoo data fetch imdb" in told
    absent = imdb.COPIES.missing(str(tmp_path / "absent"), "lra/text")
    assert absent is not None
    assert "does not exist" in absent
    with pytest.raises(zoo.DataError, match="zoo data fetch imdb"):
        imdb.COPIES.require("", "lra/text")
