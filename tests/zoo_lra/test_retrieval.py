"""Retrieval: two towers, pair by pair."""

from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from zoo_lra.retrieval import Retrieval

NAMES = {"train": "train", "valid": "eval", "test": "test"}


def pair(split: str, number: int) -> tuple[int, str, str]:
    label = int(number % 3 == 0)  # not half of each
    return label, f"{split} {number} a " * (1 + number), f"{split} {number} b é" * 9


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    for split, name in NAMES.items():
        lines = ["{}.0\tP1\tP2\t{}\t{}\n".format(*pair(split, n)) for n in range(30)]
        (tmp_path / f"new_aan_pairs.{name}.tsv").write_text("".join(lines), encoding="utf-8")
    return str(tmp_path)


def test_rows_are_pair_by_pair(tables: str) -> None:
    task = Retrieval(root=tables, budget="gpu")
    assert task.towers == 2
    splits: tuple[zoo.Split, ...] = ("train", "valid", "test")
    for split in splits:
        batch = next(task.batches(split, 30))
        assert batch.inputs.shape[0] == 60
        assert batch.targets.shape == (30,)
        assert batch.lengths is not None
        texts = [
            task.text(row[:length].tolist())
            for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True)
        ]
        found = zip(batch.targets.tolist(), texts[::2], texts[1::2], strict=True)
        assert sorted(found) == sorted(pair(split, number) for number in range(30))


def test_a_training_batch_holds_whole_pairs(tables: str) -> None:
    task = Retrieval(root=tables, budget="smoke")
    batch = task.train_batch(1, 2, 5)
    assert batch.inputs.shape[0] == 10
    assert batch.lengths is not None
    for place, label in enumerate(batch.targets.tolist()):
        first, second = (
            task.text(batch.inputs[row, : batch.lengths[row]].tolist())
            for row in (2 * place, 2 * place + 1)
        )
        number = int(first.split()[1])
        assert (label, second) == (pair("train", number)[0], pair("train", number)[2][:256])
    again = Retrieval(root=tables, budget="smoke").train_batch(1, 2, 5)
    torch.testing.assert_close(again.inputs, batch.inputs)


def test_characters_count_both_towers(tables: str) -> None:
    task = Retrieval(root=tables, budget="gpu", protocol="s4")
    task.prepare()
    whole = {c for n in range(30) for text in pair("train", n)[1:] for c in text}
    assert set(task.tokenizer.decode([*range(2, 2 + len(whole)), 1])) == whole
    assert task.inputs == 98


def test_chance_is_the_commoner_answer(tables: str) -> None:
    assert Retrieval(root=tables).chance == {"accuracy": pytest.approx(20 / 30)}


def test_documents_longer_than_what_is_kept_are_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"task\.length=4001"):
        Retrieval(length=4001)


def test_the_id_is_known_without_the_data(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "none"))
    absent = Retrieval()
    counts = {"train": 147_086, "valid": 18_090, "test": 17_437}
    assert absent.identity()["pairs"] == counts
    assert "zoo data fetch aan" in str(absent.missing())
    assert "task.data=shakespeare" in str(absent.missing())
    assert len({absent.id, Retrieval(root=tables).id, Retrieval(data="shakespeare").id}) == 3
    assert Retrieval(data="shakespeare").variant == "shakespeare"


def test_the_head_sees_both_of_a_pair(tables: str) -> None:
    task = Retrieval(root=tables, budget="smoke")
    torch.manual_seed(0)
    head, x = task.head(8), torch.randn(6, 5, 8)
    logits = head(x)
    assert logits.shape == (3, 2)
    changed = x.clone()
    changed[3] += 1
    moved = (head(changed) - logits).abs().amax(1) > 1e-6
    assert moved.tolist() == [False, True, False]


def test_every_beginning_has_both_labels(tables: str) -> None:
    labels = Retrieval(root=tables, budget="gpu").splits["train"].labels
    for end in range(1, 31):
        assert abs(int(labels[:end].sum()) - end / 3) <= 1
    assert np.bincount(labels).tolist() == [20, 10]


def test_the_order_is_part_of_the_id(tables: str) -> None:
    """Raise the task's version when this changes."""
    train = Retrieval(root=tables, budget="gpu").splits["train"]
    first = [tokens.tobytes().split()[1] for tokens in train.take(np.arange(0, 12, 2))]
    assert [int(number) for number in first] == [11, 18, 5, 23, 21, 17]
