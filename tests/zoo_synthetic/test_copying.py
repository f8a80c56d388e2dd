"""Copying shows every string twice and asks for the second."""

from hashlib import sha256

import pytest
import torch
from torch.nn.functional import one_hot

import zoo
from zoo_synthetic.copying import Copy


def rows(batch: zoo.Batch) -> list[tuple[list[int], list[int]]]:
    """Inputs and targets of each row without its padding."""
    full = torch.full((len(batch.inputs),), batch.inputs.shape[1])
    lengths = full if batch.lengths is None else batch.lengths
    pairs = zip(batch.inputs.tolist(), batch.targets.tolist(), lengths.tolist(), strict=True)
    return [(inputs[:n], targets[:n]) for inputs, targets, n in pairs]


def logits_of(answers: torch.Tensor, symbols: int) -> torch.Tensor:
    return one_hot(answers.clamp(min=0), symbols) * 10.0


@pytest.mark.parametrize("batch_size", [1, 7])
def test_row_is_the_string_its_end_and_the_string_again(batch_size: int) -> None:
    for inputs, targets in rows(Copy(symbols=5, train_length=9).train_batch(3, 11, batch_size)):
        n = inputs.index(5)
        string = inputs[:n]
        assert inputs == [*string, 5, *string[:-1]]
        assert targets == [zoo.IGNORED] * n + string


def test_padding_is_not_scored() -> None:
    batch = Copy(symbols=3, train_length=6).train_batch(0, 0, 50)
    assert batch.lengths is not None
    past = torch.arange(batch.targets.shape[1]) >= batch.lengths[:, None]
    assert past.any()
    assert (batch.targets[past] == zoo.IGNORED).all()
    assert batch.inputs.shape[1] == batch.lengths.max()


def test_lengths_and_symbols_are_uniform() -> None:
    batch = Copy(symbols=4, train_length=8).train_batch(0, 0, 8000)
    assert batch.lengths is not None
    lengths = torch.bincount(batch.lengths // 2, minlength=9)
    symbols = torch.bincount(batch.targets[batch.targets >= 0])
    assert lengths[0] == 0
    for counts in (lengths[1:], symbols):
        expected = counts.sum() / len(counts)
        spread = (counts - expected).square().sum() / expected
        assert spread < 30  # chi-square with 7 and 3 degrees of freedom: p < 1e-4


def test_batch_is_a_pure_function_of_seed_and_step() -> None:
    one, other = Copy(), Copy()
    other.train_batch(5, 6, 7)
    assert torch.equal(one.train_batch(1, 2, 8).inputs, other.train_batch(1, 2, 8).inputs)
    drawn = {one.train_batch(s, t, 8).inputs.numpy().tobytes() for s in (0, 1) for t in (0, 1)}
    assert len(drawn) == 4


def test_same_bytes_everywhere() -> None:
    batch = Copy().train_batch(1, 2, 16)
    (held_out,) = Copy(budget="smoke").batches("test", 64, length=32)
    golden = {
        "train": sha256(batch.inputs.numpy().astype("<i8").tobytes()).hexdigest()[:16],
        "test": sha256(held_out.inputs.numpy().astype("<i8").tobytes()).hexdigest()[:16],
    }
    assert golden == {"train": "3744645a8d66a425", "test": "cca75d098fdbf2f5"}


def test_held_out_strings_are_none_of_those_trained_on() -> None:
    task = Copy(budget="smoke", train_length=64)
    splits = {
        split: {str(row) for batch in task.batches(split, 50) for row in rows(batch)
                if len(row[0]) > 16}
        for split in ("valid", "test")
    }  # fmt: skip
    drawn = {str(row) for step in range(100) for row in rows(task.train_batch(0, step, 128))}
    assert not splits["valid"] & splits["test"]
    assert not drawn & (splits["valid"] | splits["test"])


@pytest.mark.parametrize("length", [None, 32])
def test_split_does_not_depend_on_the_batch_size(length: int | None) -> None:
    task = Copy(budget="smoke")
    small = [row for batch in task.batches("test", 5, length) for row in rows(batch)]
    large = [row for batch in task.batches("test", 1000, length) for row in rows(batch)]
    assert small == large
    assert len(small) == (128 if length is None else 16)


def test_grid_runs_to_the_test_length_and_each_length_is_exact() -> None:
    task = Copy(budget="smoke", test_length=20)
    assert task.grid == (8, 16, 20)
    assert Copy().grid == (8, 16, 32, 64, 128, 256, 512)
    for length in task.grid:
        for batch in task.batches("test", 16, length):
            assert batch.lengths is None
            assert batch.inputs.shape[1] == 2 * length <= task.max_length
            assert (batch.targets >= 0).sum(dim=1).tolist() == [length] * 16


def test_accuracy_counts_symbols_and_exact_counts_strings() -> None:
    task = Copy(symbols=6, train_length=5)
    batch = task.train_batch(0, 0, 4)
    answers = batch.targets.clone()
    first = int((answers[0] >= 0).nonzero()[0])
    answers[0, first] = (answers[0, first] + 1) % 6
    scores = task.score(logits_of(answers, 6), batch)
    asked = int((batch.targets >= 0).sum())
    right = {name: (int(tally.total), int(tally.count)) for name, tally in scores.items()}
    assert right["accuracy"] == (asked - 1, asked)
    assert right["exact"] == (3, 4)


def test_guessing_scores_what_chance_says() -> None:
    task = Copy(symbols=10, train_length=100)
    batch = task.train_batch(0, 0, 500)
    guess = torch.randn(*batch.targets.shape, 10, generator=torch.Generator().manual_seed(0))
    accuracy = float(task.score(guess, batch)["accuracy"].mean)
    assert accuracy == pytest.approx(task.chance["accuracy"], abs=0.01)


def test_options_and_budget_are_part_of_the_identity() -> None:
    variants = [
        Copy(), Copy(symbols=8), Copy(train_length=16), Copy(test_length=64), Copy(budget="smoke"),
    ]  # fmt: skip
    assert len({task.id for task in variants}) == len(variants)
    assert Copy().id == Copy().id


def test_text_reads_as_two_strings() -> None:
    assert Copy(symbols=12).text([3, 11, 12, 3]) == "3 11 | 3"
