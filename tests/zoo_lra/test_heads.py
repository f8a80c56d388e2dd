"""Heads of the arena against plain sums, one row at a time."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from zoo_lra.heads import ArenaHead, Pair, Pooling

LENGTHS = torch.tensor([7, 1, 4, 6])
POOLINGS: list[Pooling] = ["mean", "sum", "first", "last", "ends"]
PAIRS: list[Pair] = ["none", "nli", "concat"]
HIDDEN: list[tuple[float, ...]] = [(), (2.0,), (1.5, 0.5)]
POOLED: dict[Pooling, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: sum(x, torch.zeros_like(x[0])) / len(x),
    "sum": lambda x: sum(x, torch.zeros_like(x[0])),
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
    "ends": lambda x: torch.cat([x[0], x[-1]]),
}
MET: dict[Pair, Callable[[Tensor, Tensor], list[Tensor]]] = {
    "nli": lambda a, b: [a, b, a * b, a - b],
    "concat": lambda a, b: [a, b],
}


def plain(head: ArenaHead, rows: list[Tensor]) -> Tensor:
    """The logits of rows without padding, from the definitions, in float64."""
    vectors = [POOLED[head.pooling](row) for row in rows]
    if head.pair != "none":
        couples = zip(vectors[0::2], vectors[1::2], strict=True)
        vectors = [torch.cat(MET[head.pair](a, b)) for a, b in couples]
    y = torch.stack(vectors)
    for at, (weight, bias) in enumerate(zip(*[iter(head.parameters())] * 2, strict=True)):
        y = (y.clamp(min=0) if at else y) @ weight.T + bias
    return y


@pytest.mark.parametrize(("pooling", "pair", "hidden"), [*product(POOLINGS, PAIRS, HIDDEN)])
def test_logits_and_gradients_are_those_of_rows_without_padding(
    pooling: Pooling, pair: Pair, hidden: tuple[float, ...]
) -> None:
    head = ArenaHead(6, 3, pooling=pooling, hidden=hidden, pair=pair).double()
    x = torch.randn(4, 7, 6, dtype=torch.float64, requires_grad=True)
    rows = [row[:length] for row, length in zip(x, LENGTHS.tolist(), strict=True)]
    ours, theirs = head(x, LENGTHS), plain(head, rows)
    assert ours.shape == (4 if pair == "none" else 2, 3)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad((ours * weights).sum(), [x, *head.parameters()]),
        torch.autograd.grad((theirs * weights).sum(), [x, *head.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_is_never_read_and_full_rows_need_no_lengths(pooling: Pooling) -> None:
    head = ArenaHead(6, 3, pooling=pooling, hidden=(2.0,))
    x = torch.randn(4, 7, 6)
    spoilt = x.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        spoilt[row, length:] = float("nan")
    torch.testing.assert_close(head(spoilt, LENGTHS), head(x, LENGTHS), rtol=0, atol=0)
    full = torch.full((4,), 7)
    torch.testing.assert_close(head(x, full), head(x, None))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_batch_of_one_in_bfloat16_keeps_its_precision(pooling: Pooling) -> None:
    head = ArenaHead(8, 3, pooling=pooling, hidden=(2.0,))
    x = torch.randn(1, 5, 8)
    exact = head(x, torch.tensor([3]))
    rough = head.bfloat16()(x.bfloat16(), torch.tensor([3]))
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(("pooling", "pair"), [*product(POOLINGS, PAIRS)])
def test_flops_are_those_of_the_matrix_products(pooling: Pooling, pair: Pair) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    head = ArenaHead(6, 3, pooling=pooling, hidden=(2.0, 1.0), pair=pair)
    with FlopCounterMode(display=False) as counter:
        head(torch.randn(4, 7, 6), LENGTHS)
    assert head.flops(4, 7).matmul == counter.get_total_flops()
    summed = 4 * 7 * 6 if pooling in ("mean", "sum") else 0
    examples, width = (4 if pair == "none" else 2), 12 if pooling == "ends" else 6
    meeting = 2 * examples * width if pair == "nli" else 0
    assert head.flops(4, 7).other == summed + meeting + examples * (12 + 6)


def test_pairs_know_which_document_is_which() -> None:
    head = ArenaHead(6, 3, pooling="mean", pair="nli")
    x = torch.randn(2, 5, 6)
    assert not torch.allclose(head(x), head(x.flip(0)))
