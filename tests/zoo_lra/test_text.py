"""Text: splits that keep apart what each protocol keeps apart, tokens as each has them."""

import csv
import io
import tarfile
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra import movie_reviews
from zoo_lra.protocols import Protocol
from zoo_lra.rows import Ints, Rows
from zoo_lra.text import Text
from zoo_lra.tokenizers import CharacterTokenizer

ORIGINALS: tuple[Protocol, ...] = ("tay-paper", "tay-repo", "s4", "nystrom")
TWIN = "a brand brain"


def review(split: str, label: int, number: int) -> str:
    if number == 0 and label == 1:
        return TWIN
    return f"{split} {('bad', 'good')[label]} {number} " + "über " * number


@pytest.fixture
def imdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    with tarfile.open(tmp_path / "aclImdb_v1.tar.gz", "w:gz") as tar:
        for split in ("train", "test"):
            for label in (0, 1):
                for number in range(60):
                    member = tarfile.TarInfo(
                        f"aclImdb/{split}/{('neg', 'pos')[label]}/{number}_1.txt"
                    )
                    text = review(split, label, number).encode()
                    member.size = len(text)
                    tar.addfile(member, io.BytesIO(text))
    return str(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> str:
    rows = [(review("one", label, number), label) for label in (0, 1) for number in range(100)]
    with (tmp_path / movie_reviews.FILE).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label", "source")])
        csv.writer(file).writerows([(text, label, "imdb") for text, label in [*rows, *rows[:5]]])
    return str(tmp_path)


def read(task: Text) -> Mapping[str, list[tuple[str, int]]]:
    """Text and label of every example, decoded from what a model gets."""
    found: dict[str, list[tuple[str, int]]] = {}
    splits: tuple[zoo.Split, ...] = ("train", "valid", "test")
    for split in splits:
        batch = task.batch(task.splits[split], range_of(task.splits[split]))
        assert batch.lengths is not None
        texts = [
            task.text(row[:length].tolist())
            for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True)
        ]
        found[split] = list(zip(texts, batch.targets.tolist(), strict=True))
    return found


def range_of(rows: Rows) -> Ints:
    return np.arange(len(rows.labels))


def task_text(rows: Rows, row: int) -> str:
    return rows.take(np.array([row]))[0].tobytes().decode(errors="replace")


def tenth(text: str) -> int:
    digest = blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little") % 10


def test_our_protocol_never_looks_at_the_test_split(imdb: str) -> None:
    found = read(Text(root=imdb, budget="gpu"))
    train = {(review("train", label, n), label) for label in (0, 1) for n in range(60)}
    train.discard((TWIN, 1))
    assert Counter(found["train"] + found["valid"]) == Counter(train)
    assert {text for text, _ in found["valid"]} == {t for t, _ in train if tenth(t) == 0}
    assert Counter(found["test"]) == Counter(
        (review("test", label, n), label) for label in (0, 1) for n in range(60)
    )


@pytest.mark.parametrize("protocol", ORIGINALS)
def test_the_originals_validate_on_the_test_split(imdb: str, protocol: Protocol) -> None:
    found = read(Text(root=imdb, budget="gpu", protocol=protocol))
    assert found["valid"] == found["test"]
    assert len(found["train"]) == len(found["test"]) == 120
    assert (TWIN, 1) in found["train"]


@pytest.mark.parametrize("protocol", ["zoo", "tay-repo"])
def test_the_stand_in_splits_by_the_text(table: str, protocol: Protocol) -> None:
    task = Text(root=table, data="imdb-train", budget="gpu", protocol=protocol)
    found = read(task)
    texts = {review("one", label, n) for label in (0, 1) for n in range(100)}
    parts = {"test": {0}, "valid": {1}, "train": set(range(2, 10))}
    if protocol != "zoo":
        parts |= {"valid": {0}, "train": set(range(1, 10))}
    for split, mine in parts.items():
        assert Counter(t for t, _ in found[split]) == Counter(t for t in texts if tenth(t) in mine)
    assert task.variant == "imdb-train"
    assert task.identity()["reviews"] == {"train": 205}


def test_small_budgets_take_the_same_first_examples_of_both_classes(imdb: str) -> None:
    whole = Text(root=imdb, budget="gpu", length=256).splits["test"]
    small = Text(root=imdb, budget="smoke").splits["test"]
    rows = range_of(small)[:50]
    assert [t.tolist() for t in small.take(rows)] == [t.tolist() for t in whole.take(rows)]
    assert 24 <= small.labels[:50].sum() <= 26
    assert len(Text(root=imdb, budget="smoke", protocol="s4").splits["valid"].labels) == 50
    first = [int(task_text(small, row).split()[2]) for row in range(6)]
    assert first == [35, 57, 12, 39, 44, 26]  # part of the id: raise the version


def test_characters_are_s4_s(imdb: str) -> None:
    task = Text(root=imdb, budget="gpu", protocol="s4")
    task.prepare()
    counted = Counter(
        "".join(review("train", label, n)[:4095] for label in (0, 1) for n in range(60))
    )
    known = sorted((c for c in counted if counted[c] >= 15), key=lambda c: (-counted[c], c))
    text = review("train", 0, 59)
    row = next(
        tokens.tolist()
        for tokens in task.splits["train"].take(range_of(task.splits["train"]))
        if len(tokens) == len(text) + 1
    )
    ids = {character: number for number, character in enumerate(known, 2)}
    either = [[ids.get(c, 0) for c in review("train", label, 59)] + [1] for label in (0, 1)]
    assert row in either
    assert task.inputs == 135


def test_characters_are_counted_up_to_the_length(tmp_path: Path) -> None:
    """The end has the fifth place, so that no `e` is ever read."""
    path = tmp_path / movie_reviews.FILE
    rows = "".join(f"abcde{number},{number % 2},imdb\n" for number in range(100))
    path.write_text(f"text,label,source\n{rows}")
    task = Text(data="imdb-train", root=str(path), budget="gpu", protocol="s4", length=5)
    tokenizer = task.tokenizer
    assert isinstance(tokenizer, CharacterTokenizer)
    assert tokenizer.characters == "abcd"
    assert tokenizer.encode(np.frombuffer(b"abcde", np.uint8), 5).tolist() == [2, 3, 4, 5, 1]


def test_reviews_are_cut_at_the_length(imdb: str) -> None:
    task = Text(root=imdb, budget="gpu", length=40)
    batch = next(task.batches("test", 120))
    assert batch.lengths is not None
    lengths = [min(40, len(review("test", i, n).encode())) for i in (0, 1) for n in range(60)]
    assert sorted(batch.lengths.tolist()) == sorted(lengths)
    assert batch.inputs.shape == (120, 40)


def test_the_id_is_known_without_the_data(
    imdb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "none"))
    absent = Text()
    assert absent.identity()["reviews"] == {"train": 25_000, "test": 25_000}
    told = absent.missing()
    assert told is not None
    assert "zoo data fetch imdb" in told
    assert "task.data=imdb-train" in told
    with pytest.raises(zoo.DataError, match="zoo data fetch imdb"):
        absent.prepare()
    assert absent.id == Text().id
    found = Text(root=imdb)
    assert found.missing() is None
    assert found.identity()["reviews"] == {"train": 120, "test": 120}
    assert len({absent.id, found.id, Text(data="imdb-train").id, Text(protocol="s4").id}) == 4


def test_the_record_is_told_where_the_reviews_are_from(imdb: str) -> None:
    task = Text(root=imdb)
    told = task.provenance()
    assert told == {"name": "imdb", "sha256": task.corpus.sha256, "source": "the user's copy"}
    assert task.chance == {"accuracy": 0.5}


def test_a_split_without_examples_is_told(tmp_path: Path) -> None:
    path = tmp_path / "combined_movie_reviews.csv"
    path.write_text("text,label,source\nthe only one,1,imdb\n")
    with pytest.raises(zoo.DataError, match=r"leave none for .*test: take the whole data set"):
        Text(data="imdb-train", root=str(path)).prepare()
