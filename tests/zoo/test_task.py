"""What the contract of a task gives for free: exact means, shuffles by step, pooling."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from zoo.head import PooledHead, TokenHead, pool
from zoo.task import IGNORED, Tally, classification, epoch_rows


def test_tallies_of_batches_add_up_to_the_mean_over_items() -> None:
    values, scored = torch.randn(10), torch.rand(10) > 0.4
    parts = [Tally.over(values[i:j], scored[i:j]) for i, j in pairwise([0, 3, 4, 10])]
    total = sum(part.total for part in parts) / sum(part.count for part in parts)
    torch.testing.assert_close(total, values[scored].mean())
    torch.testing.assert_close(Tally.over(values).mean, values.mean())


def test_an_unscored_nan_does_not_reach_the_mean() -> None:
    values = torch.tensor([1.0, float("nan"), 3.0])
    assert Tally.over(values, torch.tensor([True, False, True])).mean == 2


def test_classification_is_cross_entropy_and_accuracy_over_the_scored() -> None:
    logits, targets = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    targets[0, 2:] = IGNORED
    scores = classification(logits, targets)
    flat, want = logits.flatten(0, 1), targets.flatten()
    torch.testing.assert_close(scores["loss"].mean, F.cross_entropy(flat, want))
    kept = want != IGNORED
    torch.testing.assert_close(
        scores["accuracy"].mean, (flat.argmax(-1) == want)[kept].float().mean()
    )
    assert scores["loss"].count == kept.sum()


@pytest.mark.parametrize("batch", [1, 4, 7, 10, 23])
def test_every_epoch_shows_every_row_once_in_an_order_of_its_own(batch: int) -> None:
    stream = torch.cat([epoch_rows(10, seed=3, step=k, batch_size=batch) for k in range(60)])
    epochs = stream[: len(stream) // 10 * 10].view(-1, 10)
    assert (epochs.sort(dim=1).values == torch.arange(10)).all()
    assert not torch.equal(epochs[0], epochs[1])


def test_rows_are_a_pure_function_of_seed_and_step() -> None:
    later = epoch_rows(100, seed=1, step=37, batch_size=8)
    for k in (0, 90, 5):
        epoch_rows(100, seed=1, step=k, batch_size=8)
    assert torch.equal(epoch_rows(100, seed=1, step=37, batch_size=8), later)
    assert not torch.equal(epoch_rows(100, seed=2, step=37, batch_size=8), later)


def test_pooling_has_no_part_for_the_padding() -> None:
    x, lengths = torch.randn(3, 6, 4), torch.tensor([6, 2, 1])
    poisoned = x.clone()
    poisoned[1, 2:] = float("nan")
    poisoned[2, 1:] = float("inf")
    torch.testing.assert_close(pool(poisoned, lengths, "mean")[1], x[1, :2].mean(0))
    torch.testing.assert_close(pool(poisoned, lengths, "last")[2], x[2, 0])
    torch.testing.assert_close(pool(poisoned, lengths, "first")[0], x[0, 0])
    torch.testing.assert_close(pool(x, None, "mean"), x.mean(1))
    torch.testing.assert_close(pool(x, None, "last"), x[:, -1])


def test_heads_give_logits_per_position_or_per_sequence() -> None:
    x, lengths = torch.randn(3, 6, 4), torch.tensor([6, 2, 1])
    assert TokenHead(4, 9)(x, lengths).shape == (3, 6, 9)
    assert PooledHead(4, 9)(x, lengths).shape == (3, 9)
    assert TokenHead(4, 9).flops(3, 6).matmul == 2 * 3 * 6 * 4 * 9
    assert PooledHead(4, 9).flops(3, 6).matmul == 2 * 3 * 4 * 9
