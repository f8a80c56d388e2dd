"""Contextual positions against the paper's sums, one pair at a time."""

import math

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo_position.cope import CoPE


def build(npos_max: int) -> CoPE:
    torch.manual_seed(0)
    cope = CoPE(8, 2, npos_max=npos_max).double()
    torch.nn.init.normal_(cope.table)
    return cope


def by_hand(cope: CoPE, q: Tensor, scores: Tensor) -> Tensor:
    """Zeros where a key is out of sight."""
    added = torch.zeros_like(scores)
    batch, heads, rows, columns = scores.shape
    last = len(cope.table) - 1
    for b in range(batch):
        for h in range(heads):
            for i in range(rows):
                for j in range(columns - rows + i + 1):
                    gates = [scores[b, h, i, m].sigmoid() for m in range(j, columns - rows + i + 1)]
                    at = torch.stack(gates).sum().clamp(max=last)
                    low, high = math.floor(at.item()), math.ceil(at.item())
                    left, right = (q[b, h, i] @ cope.table[n] for n in (low, high))
                    added[b, h, i, j] = (at - low) * right + (1 - (at - low)) * left
    return added


@pytest.mark.parametrize("npos_max", [1, 3, 64])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 7), (2, 9)])
def test_it_is_the_interpolated_embedding_of_the_gates_sum(
    npos_max: int, rows: int, columns: int
) -> None:
    cope = build(npos_max)
    q = torch.randn(2, 2, rows, 4, dtype=torch.float64, requires_grad=True)
    raw = torch.randn(2, 2, rows, columns, dtype=torch.float64, requires_grad=True)
    seen = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
    scores = raw.masked_fill(~seen, -torch.inf)
    mine, right = cope(q, scores)[..., seen], by_hand(cope, q, scores)[..., seen]
    torch.testing.assert_close(mine, right)
    cotangent = torch.linspace(-1, 1, right.numel(), dtype=torch.float64).view_as(right)
    found = [
        torch.autograd.grad(y, [q, raw, cope.table], cotangent, retain_graph=True)
        for y in (mine, right)
    ]
    torch.testing.assert_close(*found)


def test_keys_out_of_sight_count_for_nothing() -> None:
    cope, q, scores = build(16), torch.randn(1, 2, 3, 4).double(), torch.randn(1, 2, 3, 20).double()
    hidden = torch.zeros(3, 20, dtype=torch.bool)
    hidden[:, ::3] = True
    few = cope(q, scores[..., ~hidden[0]])
    torch.testing.assert_close(
        cope(q, scores.masked_fill(hidden, -torch.inf))[..., ~hidden[0]], few
    )


def test_far_keys_share_the_last_position() -> None:
    cope, q = build(5), torch.randn(1, 2, 1, 4).double()
    added = cope(q, torch.full((1, 2, 1, 100), 20.0).double())  # gates of almost 1
    torch.testing.assert_close(
        added[..., 0, :95], (q @ cope.table[4])[..., 0, None].expand(-1, -1, 95)
    )


def test_it_begins_as_no_position_and_is_causal_only() -> None:
    cope = CoPE(8, 2)
    assert not cope(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 3)).any()
    assert CoPE.directions == {"causal"}


def test_bfloat16_queries_do_not_round_the_sum() -> None:
    cope, q = build(64).float(), torch.randn(1, 2, 3, 4)
    scores = torch.randn(1, 2, 3, 300)
    narrow = cope.bfloat16()(q.bfloat16(), scores)
    assert narrow.dtype == torch.float32
    wide = cope.float()(q.bfloat16().float(), scores)
    torch.testing.assert_close(narrow, wide, atol=1e-5, rtol=1e-5)


def test_products_are_those_counted() -> None:
    with torch.device("meta"):
        cope, q, scores = CoPE(8, 2), torch.empty(3, 2, 9, 4), torch.empty(3, 2, 9, 30)
    with FlopCounterMode(display=False) as counter:
        cope(q, scores)
    assert cope.flops(3, 270, 9).matmul == counter.get_total_flops()
    assert cope.flops(3, 81) == cope.flops(3, 81, 9)
