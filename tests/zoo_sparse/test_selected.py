"""Attention to chosen blocks against one query and one key at a time; the compiled operator."""

from itertools import pairwise
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_sparse import selected
from zoo_sparse.choose import best
from zoo_sparse.selected import KERNELS, compiled, gathered, reference

pytest.importorskip("numba")
from zoo_sparse import selected_compiled

RUNS = pytest.mark.parametrize("run", [compiled, gathered, reference])
# b, h, i, g, l, t, e, block, n, causal
SHAPES = [
    (2, 4, 2, 1, 37, 37, 5, 4, 3, True),
    (1, 2, 2, 2, 1, 1, 3, 16, 1, True),
    (2, 2, 2, 1, 20, 53, 20, 7, 3, True),
    (1, 4, 1, 1, 45, 45, 8, 20, 2, True),
    (3, 2, 2, 2, 33, 33, 4, 5, 3, False),
]


def draw(
    b: int, h: int, i: int, g: int, many: int, t: int, e: int, block: int, n: int, causal: bool
) -> Any:
    """q, k, v, chosen: each query its own block and others at random, some none."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(b, *s, e, dtype=torch.double) for s in ((h, many), (g, t), (g, t)))
    own = (torch.arange(t - many, t) // block)[:, None]
    chosen = torch.rand(b, i, many, -(-t // block)).argsort(dim=-1)
    chosen = chosen.masked_fill((chosen == own) | (chosen > own if causal else False), -1)
    chosen = torch.cat([chosen[..., : n - 1], own.expand(b, i, many, 1)], dim=-1)
    return (*(z.requires_grad_() for z in (q, k, v)), chosen)


def by_hand(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor, block: int, causal: bool, ends: list[int]
) -> Tensor:
    """One query at a time, its keys one at a time."""
    y, start = torch.zeros_like(q), k.shape[2] - q.shape[2]
    rows = []
    for b in range(len(q)):
        for h in range(q.shape[1]):
            chooser, group = (h * n // q.shape[1] for n in (chosen.shape[1], k.shape[1]))
            for t in range(q.shape[2]):
                blocks = [c for c in chosen[b, chooser, t].tolist() if c >= 0]
                keys = [j for c in blocks for j in range(c * block, (c + 1) * block)]
                last = min(start + t + 1, ends[b]) if causal else ends[b]
                keys = [j for j in keys if j < last]
                if not keys:
                    rows.append(y[b, h, t])
                    continue
                weights = [(q[b, h, t] @ k[b, group, j] / sqrt(q.shape[3])).exp() for j in keys]
                read = [w * v[b, group, j] for w, j in zip(weights, keys, strict=True)]
                rows.append(torch.stack(read).sum(0) / torch.stack(weights).sum())
    return torch.stack(rows).view_as(q)


@RUNS
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_are_those_of_the_definition(
    run: Any, shape: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selected, "ROOM", 500)  # a few queries at a time
    q, k, v, chosen = draw(*shape)
    block, causal, ends = shape[7], shape[9], [shape[5]] * shape[0]
    lengths = None
    if not causal:
        ends = [33, 14, 1]
        lengths = torch.tensor(ends)
    ours = run(q, k, v, chosen, block, causal, lengths, shape[5] - shape[4])
    truth = by_hand(q, k, v, chosen, block, causal, ends)
    real = torch.ones(shape[0], shape[4], dtype=torch.bool)
    if lengths is not None:
        real = torch.arange(shape[4]) < lengths[:, None]
    keep = real[:, None, :, None].expand_as(truth)
    torch.testing.assert_close(ours[keep], truth[keep])
    cotangent = torch.linspace(-1, 1, ours.numel()).double().view_as(ours) * keep
    mine, right = (torch.autograd.grad(y, (q, k, v), cotangent) for y in (ours, truth))
    for one, other in zip(mine, right, strict=True):
        torch.testing.assert_close(one, other)


def test_float32_is_near_float64() -> None:
    for shape in SHAPES[:3]:
        q, k, v, chosen = draw(*shape)
        rest = (chosen, shape[7], True, None, shape[5] - shape[4])
        truth = reference(q, k, v, *rest)
        run: Any = compiled
        low = [z.detach().float().requires_grad_() for z in (q, k, v)]
        y = run(*low, *rest)
        assert y.dtype == torch.float32
        torch.testing.assert_close(y.double(), truth, rtol=1e-5, atol=1e-5)
        for mine, right in zip(
            torch.autograd.grad(y.sum(), low),
            torch.autograd.grad(truth.sum(), (q, k, v)),
            strict=True,
        ):
            torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-5)


@RUNS
def test_large_scores_do_not_overflow(run: Any) -> None:
    q, k, v, chosen = (z.detach() for z in draw(*SHAPES[0]))
    q, k, v = 100 * q.float(), 10 * k.float(), v.float()
    y = run(q, k, v, chosen, 4, True)
    torch.testing.assert_close(
        y, reference(q.double(), k.double(), v.double(), chosen, 4, True).float()
    )


def inputs(length: int = 12) -> list[Any]:
    q, k, v, chosen = draw(1, 2, 2, 1, length, length, 3, 4, 2, True)
    return [
        *(z.detach().float().requires_grad_() for z in (q, k, v)),
        chosen,
        torch.tensor([length]),
        4,
        True,
        0,
    ]


def test_it_is_a_proper_operator() -> None:
    torch.library.opcheck(selected_compiled.selected, tuple(inputs()))
    plain = [z.detach() if isinstance(z, Tensor) else z for z in inputs()]
    y, sums = selected_compiled.selected(*plain)
    backward = (*plain, y, sums, torch.randn_like(y))
    torch.library.opcheck(selected_compiled.selected_backward, backward)


def test_it_compiles_whole_with_its_gradients() -> None:
    q, k, v, chosen, *_ = inputs()

    def loss(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return compiled(q, k, v, chosen, 4, True).square().sum()

    traced = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for mine, right in zip(
        torch.autograd.grad(traced(q, k, v), (q, k, v)),
        torch.autograd.grad(loss(q, k, v), (q, k, v)),
        strict=True,
    ):
        assert torch.equal(mine, right)


def test_the_counter_sees_all_of_it() -> None:
    given = inputs()
    with FlopCounterMode(display=False) as counter:
        y, _ = selected_compiled.selected(*given)
        forward = counter.get_total_flops()
        y.sum().backward()
    pairs = 2 * 12 * 2 * 4
    assert forward == pairs * (4 * 3 + 6)
    assert counter.get_total_flops() - forward == pairs * (10 * 3 + 6)


@pytest.mark.parametrize("groups", [1, 4])
def test_threads_change_nothing(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.ops.fused, "LITTLE", 0)
    monkeypatch.setattr(selected_compiled, "TILE", 16)
    q, k, v, chosen = draw(2, 4, 4, groups, 150, 150, 3, 4, 5, True)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            y = compiled(q, k, v, chosen, 4, True)
            found.append([y, *torch.autograd.grad(y.square().sum(), (q, k, v))])
    finally:
        torch.set_num_threads(threads)
    for one, two in pairwise(found):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("layout", [(0, 1, 3, 2), (0, 2, 3, 1)], ids=["columns", "heads-last"])
def test_strided_inputs_are_read_as_they_are(layout: tuple[int, ...]) -> None:
    q, k, v, chosen = draw(2, 4, 2, 2, 37, 37, 5, 4, 3, True)
    back = [layout.index(axis) for axis in range(4)]
    strided = [
        z.detach().permute(layout).contiguous().permute(back).requires_grad_() for z in (q, k, v)
    ]
    assert not any(z.is_contiguous() for z in strided)
    y, other = (
        compiled(q, k, v, chosen, 4, True),
        compiled(strided[0], strided[1], strided[2], chosen, 4, True),
    )
    assert torch.equal(y, other)
    for one, two in zip(
        torch.autograd.grad(y.square().sum(), (q, k, v)),
        torch.autograd.grad(other.square().sum(), strided),
        strict=True,
    ):
        assert torch.equal(one, two)


def test_no_output_shares_memory_with_an_input_or_another() -> None:
    q, k, v, chosen = (z.detach() for z in draw(1, 1, 1, 1, 4, 4, 16, 16, 1, True))
    everything = [
        q,
        k,
        v,
        *selected_compiled.selected(q, k, v, chosen, torch.tensor([4]), 16, True, 0),
    ]
    assert len({z.untyped_storage().data_ptr() for z in everything}) == len(everything)


def test_it_keeps_no_weights_for_the_backward_pass() -> None:
    q, k, v, chosen = draw(1, 2, 2, 2, 200, 200, 4, 16, 3, True)
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        compiled(q, k, v, chosen, 16, True)
    # inputs, y, the logarithms of the sums, the numbers of real keys
    assert sum(kept) == 4 * q.numel() + chosen.numel() + 2 * 200 + 1


def test_nothing_comes_of_nothing() -> None:
    empty = torch.zeros(2, 4, 0, 8)
    for kernel in KERNELS:
        chosen = torch.zeros(2, 4, 0, 3, dtype=torch.long)
        assert kernel.run(empty, empty, empty, chosen, 16, True).shape == empty.shape


def test_the_best_are_the_best() -> None:
    scores = torch.randn(50, 40, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    assert best(scores, 7).sort().values.tolist() == scores.topk(7).indices.sort().values.tolist()


def test_equals_but_for_rounding_are_taken_from_the_first_on() -> None:
    for value in (0.5, 1.0, 1 / 3, 0.0, -0.7, -2.0):
        near = torch.full((100, 9), value) * (1 + 1e-6 * torch.randn(100, 9))
        near[:, 4] = value + 1
        assert best(near, 4).sort().values.tolist() == [[0, 1, 2, 4]] * 100


def test_what_is_out_of_question_is_none() -> None:
    scores = torch.tensor([[1.0, -torch.inf, torch.inf, -5.0], [-torch.inf] * 4])
    assert best(scores, 4).tolist() == [[2, 0, 3, -1], [-1, -1, -1, -1]]
