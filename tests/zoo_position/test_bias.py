"""What is added to the scores: one table of distances, laid out, against every pair asked alone."""

import dataclasses

import pytest
import torch
from torch import Tensor

import zoo
from zoo.ops.attention_bias import AttentionBias, Band
from zoo.ops.toeplitz import toeplitz
from zoo_position.alibi import ALiBi
from zoo_position.shaw import Shaw
from zoo_position.t5 import T5


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 9), (5, 5), (3, 8), (64, 65), (130, 140)]
)
def test_rows_are_the_table_shifted_by_one(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    table = torch.randn(2, rows + columns - 1, dtype=torch.float64, requires_grad=True)
    at = torch.arange(rows - 1, -1, -1)[:, None] + torch.arange(columns)
    mine, right = toeplitz(table, rows), table[:, at]
    torch.testing.assert_close(mine, right, atol=0, rtol=0)
    cotangent = torch.randn_like(right)
    (ours,), (theirs,) = (torch.autograd.grad(y, table, cotangent) for y in (mine, right))
    torch.testing.assert_close(ours, theirs)


def test_sums_of_many_rows_are_not_lost_in_bfloat16() -> None:
    torch.manual_seed(0)
    table = torch.zeros(1, 4095, dtype=torch.bfloat16, requires_grad=True)
    cotangent = torch.rand(1, 2048, 2048).bfloat16()
    (narrow,) = torch.autograd.grad(toeplitz(table, 2048), table, cotangent)
    wide = table.detach().double().requires_grad_()
    (right,) = torch.autograd.grad(toeplitz(wide, 2048), wide, cotangent.double())
    torch.testing.assert_close(narrow.double(), right, rtol=2**-8, atol=0)


def test_the_layout_is_traced_by_the_compiler() -> None:
    table = torch.randn(2, 20, requires_grad=True)
    compiled = torch.compile(toeplitz, backend="aot_eager", fullgraph=True)
    (ours,), (theirs,) = (
        torch.autograd.grad(f(table, 9).square().sum(), table) for f in (compiled, toeplitz)
    )
    torch.testing.assert_close(ours, theirs)


def whole(bias: AttentionBias, q: Tensor, k: Tensor) -> Tensor:
    """Pair by pair: the position's bias, or -inf where the key is hidden."""
    assert isinstance(bias.position, zoo.ScorePosition)
    query_at, key_at = bias.at(q, k)
    added: Tensor = bias.position(q, query_at, key_at)
    added = added.expand(len(q), q.shape[1], -1, -1).clone()
    for b in range(len(q)):
        for i, at in enumerate(query_at.tolist()):
            for j, to in enumerate(key_at.tolist()):
                past = bias.causal and to > at
                band = bias.band or Band(99, 99)
                far = not -band.left <= to - at <= band.right
                gone = not bias.causal and bias.lengths is not None and j >= int(bias.lengths[b])
                if past or far or (gone and to != at):
                    added[b, :, i, j] = -torch.inf
    return added


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("band", [None, Band(3, 0), Band(2, 2)])
@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (1, 9), (3, 8)])
@pytest.mark.parametrize("kind", [ALiBi, T5, Shaw])
def test_the_mask_of_fused_kernels_is_bias_and_band_and_padding(
    kind: type[zoo.ScorePosition], queries: int, keys: int, band: Band | None, causal: bool
) -> None:
    position = kind(8, 2).double()
    q, k = (torch.randn(2, 2, n, 4, dtype=torch.float64) for n in (queries, keys))
    lengths = torch.tensor([4, 7]) if queries == keys else None
    bias = AttentionBias(causal, band, lengths, position, start=keys - queries)
    right = whole(bias, q, k)
    mask = bias.mask(q, k)
    assert mask is not None
    assert mask.dtype == torch.float64
    torch.testing.assert_close(mask.expand_as(right), right)
    assert bias.mask(q.bfloat16(), k).dtype == torch.bfloat16  # type: ignore[union-attr]
    narrow = dataclasses.replace(bias, position=kind(8, 2).bfloat16())
    assert narrow.scores(q.bfloat16(), k).dtype == torch.float32  # type: ignore[union-attr]
    for parameter in position.parameters():
        ours, theirs = (
            torch.autograd.grad(y.softmax(dim=-1)[..., 0].square().sum(), parameter)
            for y in (mask.expand_as(right), right)
        )
        torch.testing.assert_close(ours, theirs)


def test_a_table_of_distances_is_all_that_is_asked_of_the_position() -> None:
    asked = []

    class Counting(ALiBi):
        def bias(self, distance: Tensor) -> Tensor:
            asked.append(distance.numel())
            return super().bias(distance)

    q = torch.randn(2, 2, 50, 4)
    AttentionBias(True, position=Counting(8, 2)).mask(q, q)
    assert asked == [99]


def test_a_subclass_that_sees_by_other_rules_is_asked() -> None:
    class Even(AttentionBias):
        def seen(self, q: Tensor, k: Tensor) -> Tensor | None:
            query_at, key_at = self.at(q, k)
            return (key_at % 2 == 0) | (key_at == query_at[:, None])

    q, alibi = torch.randn(1, 2, 6, 4), ALiBi(8, 2)
    mask = Even(False, position=alibi).mask(q, q)
    assert mask is not None
    hidden = mask.isinf()[0, 0].nonzero().tolist()
    assert hidden == [[i, j] for i in range(6) for j in (1, 3, 5) if i != j]
