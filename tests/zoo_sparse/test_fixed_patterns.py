"""Fixed patterns against their definitions, key by key: outputs, gradients, padding, decoding."""

from collections.abc import Callable
from math import isqrt, sqrt
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import zoo
from zoo.ops import AttentionBias
from zoo.options import given
from zoo_position.alibi import ALiBi
from zoo_position.rope import Rope
from zoo_sparse.bigbird import BigBird
from zoo_sparse.block_sparse import BlockSparse
from zoo_sparse.longformer import Longformer
from zoo_sparse.sliding import Sliding
from zoo_sparse.sparse_fixed import SparseFixed
from zoo_sparse.sparse_strided import SparseStrided

DIM, HEADS = 16, 4
DIRECTIONS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
KINDS = ("auto", "reference")
KERNELS = pytest.mark.parametrize("kernel", KINDS)
Sees = Callable[[int, int], bool]


class Case(NamedTuple):
    """A mixer, its options, and who sees whom by its paper, the direction apart."""

    cls: Any
    options: dict[str, Any]
    sees: Callable[[Any], Sees]

    def build(self, causal: bool, **more: Any) -> Any:
        torch.manual_seed(0)
        return self.cls(DIM, causal=causal, **{"heads": HEADS, **self.options, **more}).double()


def window(mixer: Any, n: int) -> range:
    """Distances of the n keys of a window, whatever their unit."""
    return range(1 - n, 1) if mixer.causal else range(-(n // 2), n - n // 2)


def sliding(mixer: Any) -> Sees:
    return lambda i, j: j - i in window(mixer, mixer.window)


def longformer(n: int, dilation: int, seen_by_all: int) -> Callable[[Any], Sees]:
    def of(mixer: Any) -> Sees:
        near = [n * dilation for n in window(mixer, n)]
        return lambda i, j: j - i in near or j < seen_by_all

    return of


def blocks(
    size: int, local: int, first: int = 0, stride: int = 0, wide: bool = False
) -> Callable[[Any], Sees]:
    def of(mixer: Any) -> Sees:
        drawn = mixer.pattern.drawn(torch.arange(100)).tolist()

        def sees(i: int, j: int) -> bool:
            mine, other = i // size, j // size
            near = other - mine in window(mixer, local)
            column = bool(stride) and other % stride == stride - 1
            whole = wide and not mixer.causal and mine < first
            return near or column or other < first or other in drawn[mine] or whole

        return sees

    return of


def strided(stride: int) -> Callable[[Any], Sees]:
    return lambda _: lambda i, j: abs(i - j) < stride or (i - j) % stride == 0


def fixed(stride: int, summary: int) -> Callable[[Any], Sees]:
    return lambda _: lambda i, j: i // stride == j // stride or j % stride >= stride - summary


CASES = {
    "sliding": Case(Sliding, {"window": 9, "kv_heads": 2}, sliding),
    "sliding-far": Case(Sliding, {"window": 70}, sliding),
    "longformer": Case(Longformer, {"window": 8, "globals": 0}, longformer(8, 1, 0)),
    "longformer-global": Case(Longformer, {"window": 8, "globals": 3}, longformer(8, 1, 3)),
    "dilated-global": Case(
        Longformer, {"window": 5, "dilation": 3, "globals": 4}, longformer(5, 3, 4)
    ),
    "dilated": Case(Longformer, {"window": 5, "dilation": 3, "globals": 0}, longformer(5, 3, 0)),
    "dilated-far": Case(
        Longformer, {"window": 40, "dilation": 7, "globals": 0}, longformer(40, 7, 0)
    ),
    "bigbird": Case(
        BigBird, {"block": 4, "random": 2, "max_length": 45}, blocks(4, 3, 2, wide=True)
    ),
    "bigbird-few": Case(
        BigBird,
        {"block": 3, "window": 2, "globals": 1, "random": 30, "kv_heads": 1, "max_length": 20},
        blocks(3, 2, 1, wide=True),
    ),
    "block_sparse": Case(
        BlockSparse, {"block": 4, "stride": 3, "random": 2, "max_length": 45}, blocks(4, 3, 1, 3)
    ),
    "block_sparse-local": Case(
        BlockSparse, {"block": 5, "local": 2, "globals": 0, "random": 0}, blocks(5, 2)
    ),
    "block_sparse-columns": Case(
        BlockSparse,
        {"block": 2, "local": 1, "globals": 4, "stride": 3, "random": 0, "kv_heads": 2},
        blocks(2, 1, 4, 3),
    ),
    "strided": Case(SparseStrided, {"stride": 6, "kv_heads": 2}, strided(6)),
    "strided-one": Case(SparseStrided, {"stride": 1}, strided(1)),
    "strided-far": Case(SparseStrided, {"stride": 50}, strided(50)),
    "fixed": Case(SparseFixed, {"stride": 6, "summary": 2}, fixed(6, 2)),
    "fixed-all": Case(SparseFixed, {"stride": 7, "summary": 9, "kv_heads": 1}, fixed(7, 7)),
}
EVERY = pytest.mark.parametrize("name", CASES)


def by_hand(
    q: Tensor, k: Tensor, v: Tensor, sees: Sees, causal: bool, real: list[int], bias: Any = None
) -> Tensor:
    """Softmax over the keys in sight, one query at a time; zeros in the padding."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    y = []
    for b, length in enumerate(real):
        for i in range(q.shape[2]):
            keys = [j for j in range(length) if sees(i, j) and (j <= i or not causal)]
            if i >= length:
                y.append(torch.zeros_like(q[b, :, i]))
                continue
            weight = torch.einsum("he,hje->hj", q[b, :, i], k[b, :, keys]) / sqrt(q.shape[3])
            if bias is not None:
                weight = weight + bias(torch.tensor(keys) - i)
            weight = weight.exp() / weight.exp().sum(dim=1, keepdim=True)
            y.append(torch.einsum("hj,hje->he", weight, v[b, :, keys]))
    return torch.stack(y).view(len(real), q.shape[2], *y[0].shape).transpose(1, 2)


def same(ours: Tensor, truth: Tensor, leaves: list[Tensor], tolerance: float) -> None:
    """Outputs and gradients."""
    torch.testing.assert_close(ours, truth, rtol=tolerance, atol=tolerance)
    cotangent = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype).view_as(ours)
    for one, other in zip(
        torch.autograd.grad(ours, leaves, cotangent),
        torch.autograd.grad(truth, leaves, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@EVERY
@DIRECTIONS
@KERNELS
def test_outputs_and_gradients_are_those_of_the_definition(
    name: str, causal: bool, kernel: str
) -> None:
    mixer = CASES[name].build(causal, kernel=kernel)
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-4)):
        for batch, length in ((1, 1), (2, 37)):
            groups = mixer.kv_heads
            q = torch.randn(batch, HEADS, length, 4, dtype=dtype, requires_grad=True)
            k, v = torch.randn(2, batch, groups, length, 4, dtype=dtype, requires_grad=True)
            truth = by_hand(q, k, v, CASES[name].sees(mixer), causal, [length] * batch)
            same(mixer.attend(q, k, v), truth, [q, k, v], tolerance)


@EVERY
@DIRECTIONS
@KERNELS
def test_padding_is_out_of_sight(name: str, causal: bool, kernel: str) -> None:
    mixer = CASES[name].build(causal, kernel=kernel)
    lengths = torch.tensor([43, 20, 1])
    real = (torch.arange(43) < lengths[:, None])[:, None, :, None]
    q = torch.randn(3, HEADS, 43, 4, dtype=torch.float64, requires_grad=True)
    k, v = torch.randn(2, 3, mixer.kv_heads, 43, 4, dtype=torch.float64, requires_grad=True)
    y = mixer.attend(q, k, v, lengths)
    assert y.isfinite().all()
    truth = by_hand(q, k, v, CASES[name].sees(mixer), causal, lengths.tolist())
    same(y.masked_fill(~real, 0), truth, [q, k, v], 1e-6)


@EVERY
@DIRECTIONS
def test_nan_in_the_padding_reaches_neither_outputs_nor_gradients(name: str, causal: bool) -> None:
    mixer = CASES[name].build(causal, position=Rope)
    lengths = torch.tensor([50, 33, 1])
    real = torch.arange(50) < lengths[:, None]
    clean = torch.randn(3, 50, DIM, dtype=torch.float64)
    x = clean.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    torch.testing.assert_close(y, mixer(clean, lengths)[real])
    torch.testing.assert_close(mixer(x, lengths)[1, :33], mixer(clean[1:2, :33])[0])
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


@EVERY
@DIRECTIONS
@KERNELS
def test_a_bias_of_the_distance_is_added_to_what_is_seen(
    name: str, causal: bool, kernel: str
) -> None:
    mixer = CASES[name].build(causal, kernel=kernel, position=ALiBi)
    q = torch.randn(2, HEADS, 29, 4, dtype=torch.float64, requires_grad=True)
    k, v = torch.randn(2, 2, mixer.kv_heads, 29, 4, dtype=torch.float64, requires_grad=True)
    sees = CASES[name].sees(mixer)
    truth = by_hand(q, k, v, sees, causal, [29, 29], mixer.position.bias)
    same(mixer.attend(q, k, v), truth, [q, k, v], 1e-6)


def stored(state: Any) -> int:
    """Numbers of float64 that a state holds."""
    tensors = [z.untyped_storage() for z in tree_leaves(state) if isinstance(z, Tensor)]
    return sum({z.data_ptr(): z.nbytes() for z in tensors}.values()) // 8


@EVERY
@pytest.mark.parametrize("position", [Rope, ALiBi])
def test_steps_and_prefills_are_the_forward(name: str, position: Any) -> None:
    mixer = CASES[name].build(True, position=position)
    x = torch.randn(2, 61, DIM, dtype=torch.float64)
    whole = mixer(x)
    state, done = None, 0
    for end in (3, 4, 25, 26, 48, *range(49, 62)):
        y, state = mixer.prefill(x[:, done:end], state)
        torch.testing.assert_close(y, whole[:, done:end])
        assert stored(state) == 2 * mixer.state_size(end)
        done = end


@pytest.mark.parametrize("position", [None, Rope, ALiBi])
def test_global_tokens_see_all_with_positions_of_their_own(position: Any) -> None:
    """With the same projections for all, and a window over all, that is full attention."""
    options: dict[str, Any] = {"causal": False, "position": position, "window": 200}
    ours, full = Longformer(DIM, globals=5, **options).double(), Sliding(DIM, **options).double()
    with torch.no_grad():
        full.qkv.weight.copy_(ours.qkv.weight)
        full.out.weight.copy_(ours.out.weight)
        ours.global_query.weight.copy_(ours.qkv.weight[:DIM])
        ours.global_key_value.weight.copy_(ours.qkv.weight[DIM:])
    x, lengths = torch.randn(3, 31, DIM, dtype=torch.float64), torch.tensor([31, 8, 2])
    real = torch.arange(31) < lengths[:, None]
    torch.testing.assert_close(ours(x, lengths)[real], full(x, lengths)[real])
    ours.global_query.weight.data.neg_()
    apart = (ours(x, lengths) - full(x, lengths)).abs().sum(-1) > 1e-9
    assert apart[0].tolist() == [True] * 5 + [False] * 26


@DIRECTIONS
@pytest.mark.parametrize("name", ["strided", "strided-one", "strided-far"])
@pytest.mark.parametrize("lengths", [None, [40, 1, 6], [33, 3, 20]])
def test_rows_and_columns_join_into_one_softmax(
    name: str, causal: bool, lengths: list[int] | None
) -> None:
    torch.manual_seed(0)
    q = torch.randn(3, HEADS, 40, 4, dtype=torch.float64, requires_grad=True)
    groups = CASES[name].build(causal).kv_heads
    k, v = torch.randn(2, 3, groups, 40, 4, dtype=torch.float64, requires_grad=True)
    real = torch.tensor(lengths or [40] * 3)
    seen = (torch.arange(40) < real[:, None])[:, None, :, None]
    results = {}
    for kernel in ("fused", "strided"):
        mixer = CASES[name].build(causal, kernel=kernel)
        y = mixer.attend(q, k, v, None if lengths is None else real)
        results[mixer.kernel_ran] = y.masked_fill(~seen, 0)
    same(results["fused"], results["strided"], [q, k, v], 1e-9)
    assert CASES[name].build(causal).pick(q).name == "fused"


@DIRECTIONS
@pytest.mark.parametrize("width", [1, 2, 5])
def test_rows_and_columns_join_whatever_the_layout_and_the_width(width: int, causal: bool) -> None:
    """Heads last in memory, as a position may leave narrow ones."""
    torch.manual_seed(0)
    mixer = CASES["strided"].build(causal, kv_heads=HEADS)
    parts = torch.randn(3, 2, 40, width, HEADS, dtype=torch.float64, requires_grad=True)
    q, k, v = parts.permute(0, 1, 4, 2, 3)
    truth = by_hand(q, k, v, strided(6)(mixer), causal, [40, 40])
    same(mixer.attend(q, k, v), truth, [parts], 1e-9)
    assert mixer.kernel_ran == "fused"


def test_without_torchs_private_kernel_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_sparse.strided_fused.NAME", "_no_such_operator")
    mixer = CASES["strided"].build(True)
    mixer(torch.randn(1, 40, DIM, dtype=torch.float64)).sum().backward()
    assert mixer.kernel_ran == "strided"
    with pytest.raises(zoo.ZooError, match=r"no aten::_no_such_operator; .* try mixer.kernel=auto"):
        CASES["strided"].build(True, kernel="fused")(torch.zeros(1, 40, DIM).double())


@pytest.mark.parametrize(
    ("causal", "past", "new"),
    [(False, 0, 9), (True, 0, 9), (True, 3, 1), (True, 40, 1), (True, 40, 7)],
)
def test_other_kernels_are_told_the_window_as_a_band(causal: bool, past: int, new: int) -> None:
    """What a fused kernel makes of band and keys must be what the pattern says of them."""
    told: list[Any] = []

    def kernel(q: Tensor, k: Tensor, v: Tensor, bias: Any) -> Tensor:
        told.append((bias.band, bias.seen(q, k), AttentionBias(causal, bias.band).seen(q, k)))
        return q

    mixer: Any = Sliding(DIM, causal=causal, window=8)
    mixer.kernels = (zoo.Kernel("theirs", kernel),)
    if past:
        _, state = mixer.prefill(torch.randn(1, past, DIM))
        mixer.prefill(torch.randn(1, new, DIM), state)
    else:
        mixer(torch.randn(1, new, DIM))
    band, ours, theirs = told[-1]
    assert band == ((7, 0) if causal else (4, 3))
    assert ours.shape == (new, min(past, 7) + new)
    assert torch.equal(ours, theirs)


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the largest tensor that any operation made, views and joints with a cache apart."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        had = {memory(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and memory(leaf) not in had:
                self.numel = max(self.numel, leaf.numel() * (func is not self.joint))
        return out

    joint = torch.ops.aten.cat.default


def memory(x: Tensor) -> int:
    """Where it lies."""
    return x.untyped_storage().data_ptr()


GROWING: dict[str, tuple[Any, dict[str, Any]]] = {
    "sliding": (Sliding, {}),
    "longformer": (Longformer, {"window": 32, "globals": 3}),
    "dilated": (Longformer, {"window": 32, "dilation": 4}),
    "bigbird": (BigBird, {"block": 16}),
    "block_sparse": (BlockSparse, {"block": 16}),
    "strided": (SparseStrided, {}),
    "fixed": (SparseFixed, {}),
}


@pytest.mark.parametrize("name", GROWING)
@DIRECTIONS
def test_nothing_grows_with_the_square_of_the_length(name: str, causal: bool) -> None:
    sizes = []
    cls, options = GROWING[name]
    for length in (1024, 4096):
        context = given(cls, causal=causal, max_length=length)
        mixer = cls(DIM, heads=HEADS, **options, **context)
        x = torch.randn(1, length, DIM, requires_grad=True)
        with Largest() as largest:  # type: ignore[no-untyped-call]
            mixer(x, torch.tensor([length - 1])).sum().backward()
        sizes.append(largest.numel)
    assert sizes[1] <= (4.2 if cls.complexity == "l" else 8.4) * sizes[0]
    assert sizes[1] < HEADS * 4096**2 / 8


@pytest.mark.parametrize("name", GROWING)
def test_a_step_reads_no_more_than_it_sees(name: str) -> None:
    cls, options = GROWING[name]
    sizes = []
    for past in (1024, 4096):
        mixer = cls(DIM, heads=HEADS, **options, **given(cls, max_length=past))
        _, state = mixer.prefill(torch.randn(1, past, DIM))
        with Largest() as largest:  # type: ignore[no-untyped-call]
            mixer.step(torch.randn(1, DIM), state)
        sizes.append(largest.numel)
    if name in ("sliding", "longformer", "dilated"):
        assert mixer.state_size(1024) == mixer.state_size(4096)
        assert sizes[0] == sizes[1]
    elif cls.complexity == "l":
        # the cache is joined to the new key, and nothing else is as long
        assert sizes[0] == sizes[1]
    else:
        assert sizes[1] <= 2.1 * sizes[0]
        assert sizes[1] < DIM * 10 * isqrt(4096)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Longformer, {"window": 3, "dilation": 10**9}),
        (SparseStrided, {"stride": 10**6}),
        (SparseFixed, {"stride": 10**5}),
        (BigBird, {"block": 10**5}),
        (BlockSparse, {"block": 10**5}),
    ],
)
@DIRECTIONS
def test_a_pattern_far_larger_than_the_sequence_costs_no_more(
    cls: Any, options: dict[str, Any], causal: bool
) -> None:
    mixer, plain = (cls(DIM, causal=causal, kernel=kernel, **options) for kernel in KINDS)
    plain.load_state_dict(mixer.state_dict())
    x = torch.randn(2, 33, DIM, requires_grad=True)
    with Largest() as largest:  # type: ignore[no-untyped-call]
        y = mixer(x)
    torch.testing.assert_close(y, plain(x))
    assert largest.numel < 2 * 33 * max(4 * 3 * 33, 100 * DIM)
    assert mixer.flops(2, 33).matmul < 10 * 2 * 33 * DIM * (4 * DIM + 4 * 33)


@DIRECTIONS
def test_random_blocks_are_drawn_evenly_and_never_twice(causal: bool) -> None:
    pattern = BigBird(DIM, causal=causal, block=4, random=3, max_length=4 * 64).pattern
    drawn = pattern.drawn(torch.arange(64))
    for mine, row in enumerate(drawn.tolist()):
        near = {mine + n for n in (range(-2, 1) if causal else range(-1, 2))} | {0, 1}
        able = set(range(mine if causal else 64)) - near
        assert len(set(row) - {-1}) == min(3, len(able))
        assert set(row) - {-1} <= able
    counts = torch.zeros(64)
    for seed in range(300):
        other = BigBird(DIM, causal=causal, block=4, random=3, max_length=4 * 64, seed=seed)
        counts[other.pattern.drawn(torch.tensor([40]))[0]] += 1
    chosen = counts[counts > 0]
    assert len(chosen) == (36 if causal else 59)
    # 900 draws: chi-squared is beyond 3 times its degrees of freedom once in an age
    assert ((chosen - chosen.mean()) ** 2 / chosen.mean()).sum() < 3 * len(chosen)


@DIRECTIONS
def test_random_blocks_are_those_of_the_seed_and_the_layer(causal: bool) -> None:
    def drawn(**more: Any) -> list[Any]:
        mixer = BigBird(DIM, causal=causal, block=4, max_length=256, **more)
        return mixer.pattern.drawn(torch.arange(20, 64)).tolist()

    assert drawn(seed=1, layer=2) == drawn(seed=1, layer=2)
    plans = [drawn(), drawn(layer=1), drawn(seed=1), drawn(seed=1, layer=1)]
    assert all(plans.count(plan) == 1 for plan in plans)


def test_the_stride_is_about_the_root_of_the_longest_length() -> None:
    for cls in (SparseStrided, SparseFixed):
        assert cls(DIM, max_length=4096).stride == 64
        assert cls(DIM, max_length=1000).stride == 32
        assert cls(DIM, max_length=1000, stride=9).stride == 9


@pytest.mark.parametrize("cls", [Sliding, BigBird, BlockSparse, SparseStrided, SparseFixed])
def test_heads_of_keys_that_do_not_divide_are_refused(cls: Any) -> None:
    with pytest.raises(zoo.ZooError, match=r"kv_heads=3 does not divide .*heads=4; try one of"):
        cls(DIM, heads=4, kv_heads=3)
