"""Native Sparse Attention against the paper's equations, fla's naive parts and another package."""

import importlib.util
import sys
from math import sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from native_sparse_attention_pytorch import SparseAttention
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_position.rope import Rope
from zoo_position.sinusoidal import Sinusoidal
from zoo_sparse.compressed import importance
from zoo_sparse.nsa import Nsa

DIM, HEADS = 16, 4


def build(rope: bool = False, **options: Any) -> Nsa:
    torch.manual_seed(0)
    mixer = Nsa(DIM, position=Rope if rope else None, **{"heads": HEADS, **options}).double()
    with torch.no_grad():
        for compress in (mixer.compress_k, mixer.compress_v):
            compress.place.normal_()
    return mixer


def softmax_of(q: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """One query's answer."""
    weights = torch.stack([(q @ k / sqrt(len(q))).exp() for k in keys])
    return (weights / weights.sum()) @ torch.stack(values)


def by_hand(mixer: Nsa, x: Tensor) -> Tensor:
    """Section 3 of the paper for one row, token by token; t, i and j count from 1 as there."""
    length, groups, e = len(x), mixer.kv_heads, mixer.width
    size, stride = mixer.compress_k.size, mixer.compress_k.stride
    share = HEADS // groups
    # the weights' order: queries, then keys to compress, values to compress, keys and keys of the
    # window, values and values of the window
    parts = (x @ mixer.qkv.weight.T).view(length, -1, e)
    q, rest = parts[:, :HEADS], parts[:, HEADS:]
    cmp_k, cmp_v, slc_k, win_k, slc_v, win_v = rest.chunk(6, dim=1)
    turned_q, turned_slc, turned_win = q, slc_k, win_k
    if mixer.position is not None:
        keys = torch.cat([slc_k, win_k], dim=1)
        turned = mixer.position(*(z.transpose(0, 1)[None] for z in (q, keys)))
        turned_q, keys = (z[0].transpose(0, 1) for z in turned)
        turned_slc, turned_win = keys.chunk(2, dim=1)
    gates = (x @ mixer.gates.weight.T + mixer.gates.bias).sigmoid().view(length, 3, HEADS)

    def phi(net: Any, z: Tensor, i: int, g: int) -> Tensor:
        """Equation 7: of k_{id+1} .. k_{id+l}."""
        tokens = torch.cat([z[i * stride + n, g] + net.place[g, n] for n in range(size)])
        hidden = (net.inner.weight @ tokens).clamp(min=0)
        summary: Tensor = net.outer.weight @ hidden + net.outer.bias
        return summary

    y = []
    for t in range(1, length + 1):
        heads = []
        for g in range(groups):
            count = max(0, (t - size) // stride + 1)  # i from 0 to floor((t - l) / d)
            summary_k = [phi(mixer.compress_k, cmp_k, i, g) for i in range(count)]
            summary_v = [phi(mixer.compress_v, cmp_v, i, g) for i in range(count)]
            blocks = -(-t // mixer.block)
            score, coarse = [0.0] * blocks, []
            for h in range(g * share, (g + 1) * share):
                if not count:
                    coarse.append(q.new_zeros(e))
                    continue
                p = (torch.stack(summary_k) @ q[t - 1, h] / sqrt(e)).softmax(dim=0)  # equation 8
                coarse.append(p @ torch.stack(summary_v))
                for j in range(1, blocks + 1):
                    for m in range(mixer.block // stride):
                        for n in range(size // stride):
                            at = mixer.block // stride * j - m - n  # equation 9, p from 1
                            score[j - 1] += float(p[at - 1].detach()) if 1 <= at <= count else 0
            always = {
                *range(min(mixer.initial, blocks)),
                *range(max(0, blocks - mixer.local), blocks),
            }
            others = sorted(set(range(blocks)) - always, key=lambda j: -score[j])
            chosen = always | {*others[: mixer.select - len(always)]}
            seen = [j * mixer.block + n for j in sorted(chosen) for n in range(mixer.block)]
            seen = [n for n in seen if n < t]
            near = range(max(0, t - mixer.window), t)
            for h in range(g * share, (g + 1) * share):
                question = turned_q[t - 1, h]
                fine = softmax_of(
                    question, [turned_slc[n, g] for n in seen], [slc_v[n, g] for n in seen]
                )
                slide = softmax_of(
                    question, [turned_win[n, g] for n in near], [win_v[n, g] for n in near]
                )
                gate = gates[t - 1, :, h]
                heads.append(gate[0] * coarse[h - g * share] + gate[1] * fine + gate[2] * slide)
        y.append(torch.cat(heads))
    return torch.stack(y) @ mixer.out.weight.T


CASES = [
    {"compress": 4, "stride": 2, "block": 4, "select": 3, "window": 5, "kv_heads": 2},
    {"compress": 4, "stride": 4, "block": 4, "select": 4, "window": 1, "kv_heads": 4, "local": 1},
    {"compress": 6, "stride": 2, "block": 8, "select": 2, "window": 90, "initial": 0},
]


@pytest.mark.parametrize("kernel", ["numba", "gathered", "reference"])
@pytest.mark.parametrize("options", CASES, ids=["overlap", "apart", "all-local"])
def test_outputs_and_gradients_are_those_of_the_paper(
    options: dict[str, Any], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_sparse.nsa.QUERIES", 16)  # a few queries at a time
    mixer = build(rope=True, kernel=kernel, **options)
    x = torch.randn(1, 29, DIM, dtype=torch.double, requires_grad=True)
    ours, truth = mixer(x), torch.stack([by_hand(mixer, row) for row in x])
    torch.testing.assert_close(ours, truth)
    cotangent = torch.linspace(-1, 1, ours.numel()).double().view_as(ours)
    given = [x, *mixer.parameters()]
    for one, other in zip(
        torch.autograd.grad(ours, given, cotangent),
        torch.autograd.grad(truth, given, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_a_summary_counts_for_a_block_as_often_as_they_share_a_stride() -> None:
    # three summaries of 8 tokens every 4, blocks of 8: tokens 0-7, 4-11, 8-15
    weights = torch.tensor([1.0, 10.0, 100.0]).view(1, 1, 1, 3)
    shared = importance(weights, size=8, stride=4, block=8, blocks=3)
    assert shared.flatten().tolist() == [2 + 10, 10 + 200, 0]


def naive(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """fla's naive parts, without the imports that need triton."""
    for name in ("fla", "fla.ops", "fla.ops.utils", "fla.ops.utils.pooling"):
        module = ModuleType(name)
        module.prepare_chunk_offsets = module.mean_pooling = None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    where = importlib.util.find_spec("torch")
    assert where is not None
    assert where.origin is not None
    path = Path(where.origin).parents[1] / "fla/ops/nsa/naive.py"
    spec = importlib.util.spec_from_file_location("fla_nsa", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore:Flash Attention is not installed")
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_flash_linear_attention_compresses_chooses_and_selects_as_we_do(
    kv_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where summaries are blocks, as there; a group's choice by its weights together."""
    mixer = build(compress=4, stride=4, block=4, select=5, kv_heads=kv_heads).float()
    # whole blocks, as theirs must be; scores far apart, as ours are rounded before they are sorted
    x = 8 * torch.randn(2, 48, DIM)
    theirs = naive(monkeypatch)
    with torch.no_grad():
        q, _, recent, past, _ = mixer.project(x, 0)
        summaries = mixer.summarise(recent)
        coarse, chosen = mixer.look(q, summaries, 0, 48)
        q_, summary_k, summary_v, k, v = (
            z.transpose(1, 2) for z in (q, *summaries.chunk(2, 1), *past.chunk(2, 1))
        )
        scale = mixer.width**-0.5
        y, _ = theirs.naive_nsa_compression(q_, summary_k, summary_v, 4, scale)
        torch.testing.assert_close(coarse, y.transpose(1, 2))
        blocks = theirs.naive_nsa_topk(q_, summary_k, 5, 4, scale).transpose(1, 2)
        assert torch.equal(chosen.sort().values, blocks.sort().values)
        fine = fine_of(mixer, q, past, chosen)
        y = theirs.naive_nsa_selection(q_, k, v, blocks.transpose(1, 2), 4)
        torch.testing.assert_close(fine, y.transpose(1, 2), rtol=1e-5, atol=1e-4)


def fine_of(mixer: Nsa, q: Tensor, past: Tensor, chosen: Tensor) -> Tensor:
    k, v = past.chunk(2, dim=1)
    y: Tensor = mixer.pick(q).run(q, k, v, chosen, mixer.block, True)
    return y


def test_the_other_package_agrees_where_it_follows_the_paper() -> None:
    """One set of keys for all, blocks that do not overlap, no groups; where no summary just ended.

    Its learned key beside the summaries is made to weigh nothing: every query has a first number
    that is 5, and that key is very negative there.
    """
    size, window, length = 4, 7, 61
    mixer = build(
        rope=True, compress=size, stride=size, block=size, select=4, initial=0, local=1,
        window=window, kv_heads=HEADS, hidden=size * DIM // HEADS,
    ).float()  # fmt: skip
    other = SparseAttention(
        dim=DIM, dim_head=DIM // HEADS, heads=HEADS, causal=True, norm=False,
        sliding_window_size=window - 1, compress_block_size=size,
        compress_block_sliding_stride=size, selection_block_size=size, num_selected_blocks=3,
    )  # fmt: skip
    width = DIM // HEADS
    with torch.no_grad():
        weight = mixer.qkv.weight.view(-1, width, DIM)
        weight[:HEADS, 0] = torch.eye(DIM)[0] * 5  # the first number of x is 1
        k, v = torch.randn(2, HEADS, width, DIM) / 4
        weight[HEADS : 5 * HEADS] = torch.cat([k, v, k, k])
        weight[5 * HEADS :] = torch.cat([v, v])
        other.to_qkv.weight.copy_(torch.cat([weight[:HEADS], k, v]).flatten(0, 1))
        other.combine_heads.weight.copy_(mixer.out.weight)
        gates = other.to_strategy_combine[0]
        torch.nn.init.normal_(gates.weight)
        # theirs by head, ours by attention
        mixer.gates.weight.copy_(gates.weight.view(HEADS, 3, DIM).transpose(0, 1).flatten(0, 1))
        mixer.gates.bias.copy_(gates.bias.view(HEADS, 3).T.flatten())
        other.compress_mem_kv[0, :, :, 0] = -1e4
        for ours, theirs, place in (
            (mixer.compress_k, other.k_compress, other.k_intrablock_positions),
            (mixer.compress_v, other.v_compress, other.v_intrablock_positions),
        ):
            ours.inner.weight.copy_(theirs[1].weight)
            theirs[1].bias.zero_()
            ours.outer.load_state_dict(theirs[3].state_dict())
            place.copy_(ours.place)
    mixer.position = Interleaved()
    x = torch.randn(2, length, DIM)
    x[..., 0] = 1
    same = (torch.arange(length) + 1) % size != 0
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    ys = [module(z)[:, same] for module, z in zip((mixer, other), inputs, strict=True)]
    torch.testing.assert_close(ys[0], ys[1], rtol=1e-4, atol=1e-5)
    cotangent = torch.linspace(-1, 1, ys[0].numel()).view_as(ys[0])
    grads = [torch.autograd.grad(y, z, cotangent)[0] for y, z in zip(ys, inputs, strict=True)]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-3, atol=1e-4)


class Interleaved(zoo.QueryKeyPosition):
    """RoPE in the layout of rotary-embedding-torch: pairs are neighbours."""

    def forward(self, q: Tensor, k: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        return self.turn(q, start), self.turn(k, start)

    def turn(self, x: Tensor, start: int) -> Tensor:
        """Each pair by its angle."""
        e = x.shape[3]
        at = torch.arange(start, start + x.shape[2], dtype=x.dtype)
        angle = at[:, None] * 10000.0 ** (-torch.arange(0, e, 2) / e)
        turned = torch.view_as_complex(x.reshape(*x.shape[:3], -1, 2)) * torch.polar(
            torch.ones_like(angle), angle
        )
        return torch.view_as_real(turned).flatten(3)


def test_nan_in_the_padding_reaches_neither_outputs_nor_gradients() -> None:
    mixer = build(rope=True)
    lengths = torch.tensor([50, 33, 1])
    real = torch.arange(50) < lengths[:, None]
    clean = torch.randn(3, 50, DIM, dtype=torch.double)
    x = clean.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    torch.testing.assert_close(y, mixer(clean, lengths)[real])
    torch.testing.assert_close(mixer(x, lengths)[1, :33], mixer(clean[1:2, :33])[0])
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("rope", [False, True], ids=["bare", "rope"])
@pytest.mark.parametrize("options", CASES, ids=["overlap", "apart", "all-local"])
def test_steps_are_the_forward(options: dict[str, Any], rope: bool) -> None:
    mixer, x = build(rope=rope, **options), torch.randn(2, 43, DIM, dtype=torch.double)
    wanted = mixer(x)
    y, state = mixer.prefill(x[:, :18])
    more, state = mixer.prefill(x[:, 18:23], state)
    ys = [*y.unbind(1), *more.unbind(1)]
    for t in range(23, 43):
        y, state = mixer.step(x[:, t], state)
        ys.append(y)
        tensors = [z.untyped_storage() for z in state if isinstance(z, Tensor)]
        stored = {z.data_ptr(): z.nbytes() for z in tensors}
        assert sum(stored.values()) == 2 * 8 * mixer.state_size(t + 1)
    torch.testing.assert_close(torch.stack(ys, dim=1), wanted)


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.numel = max(self.numel, leaf.numel())
        return out


@pytest.mark.parametrize("kernel", ["numba", "gathered"])
def test_nothing_grows_with_the_square_of_the_length(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_sparse.selected.ROOM", 2**17)
    mixer, sizes = build(kernel=kernel).float(), []
    for length in (1024, 2048):
        x = torch.randn(1, length, DIM, requires_grad=True)
        with Largest() as largest:  # type: ignore[no-untyped-call]
            mixer(x, torch.tensor([length - 1])).sum().backward()
        sizes.append(largest.numel)
    assert sizes[1] <= 2 * sizes[0]
    assert sizes[1] < 2048**2 / 10


@pytest.mark.parametrize(
    "options",
    [{}, *CASES, {"block": 4000}],
    ids=["default", "overlap", "apart", "all-local", "one-block"],
)
def test_flops_are_those_counted(options: dict[str, Any]) -> None:
    mixer = build(rope=True, **options, kernel="gathered").to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        mixer(torch.empty(2, 1021, DIM, dtype=torch.double, device="meta"))
    assert mixer.flops(2, 1021).matmul == counter.get_total_flops()


def test_bfloat16_and_autocast_stay_near_float64() -> None:
    options = {"block": 16, "select": 5}  # all blocks: a choice may turn over by rounding
    x = torch.randn(2, 65, DIM, dtype=torch.double)
    truth = build(rope=True, **options)(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = build(rope=True, **options).float()(x.float())
    narrow = build(rope=True, **options).bfloat16()(x.bfloat16())
    for y in (mixed, narrow):
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.double(), truth, atol=3e-2, rtol=0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"heads": 3}, r"heads=3 .* dim=16; try mixer.heads="),
        ({"kv_heads": 3}, r"kv_heads=3 does not divide mixer.heads=4; try"),
        ({"stride": 3}, r"stride=3 must divide mixer.compress=8 .* try mixer.stride="),
        ({"compress": 32}, r"compress=32 exceeds mixer.block=16; try mixer.block=32"),
        ({"select": 2}, r"mixer.select=2; try mixer.select=3"),
        ({"position": Sinusoidal}, "embedding"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_those_that_do(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(zoo.ZooError, match=told):
        Nsa(16, **options)
