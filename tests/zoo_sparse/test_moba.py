"""MoBA against its definition key by key, the authors' brute force as a formula, and fla's code."""

import importlib.util
import sys
from itertools import chain
from math import inf, sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_position.rope import Rope
from zoo_position.sinusoidal import Sinusoidal
from zoo_sparse.moba import Moba

DIM, HEADS = 16, 4
DIRECTIONS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


def build(causal: bool = True, rope: bool = False, **options: Any) -> Moba:
    torch.manual_seed(0)
    position = Rope if rope else None
    options = {"heads": HEADS, "block": 4, "select": 3, **options}
    return Moba(DIM, causal=causal, position=position, **options).double()


def by_hand(
    q: Tensor, k: Tensor, v: Tensor, block: int, select: int, causal: bool, length: int
) -> Tensor:
    """One row, one query at a time: its own block, and those whose mean key answers best."""
    y = torch.zeros_like(q)
    blocks = [range(at, min(at + block, length)) for at in range(0, length, block)]
    for h in range(len(q)):
        g = h * len(k) // len(q)
        for t in range(length):
            own = t // block
            score = {
                c: float(q[h, t].detach() @ sum(k[g, j].detach() for j in keys) / len(keys))
                for c, keys in enumerate(blocks)
                if c != own and (c < own or not causal)
            }
            chosen = [*sorted(score, key=lambda c: -score[c])[: select - 1], own]
            keys = [j for c in chosen for j in blocks[c] if j <= t or not causal]
            weight = (k[g, keys] @ q[h, t] / sqrt(q.shape[2])).softmax(dim=0)
            y = y.index_put((torch.tensor(h), torch.tensor(t)), weight @ v[g, keys])
    return y


@DIRECTIONS
@pytest.mark.parametrize(
    ("length", "block", "select", "kv_heads"),
    [(33, 4, 3, 4), (13, 20, 2, 1), (30, 7, 9, 2), (9, 1, 1, 4)],
)
def test_outputs_and_gradients_are_those_of_the_definition(
    length: int, block: int, select: int, kv_heads: int, causal: bool
) -> None:
    mixer = build(causal, block=block, select=select, kv_heads=kv_heads)
    x = torch.randn(2, length, DIM, dtype=torch.double, requires_grad=True)
    q, k, v = mixer.project(x)
    rows = [by_hand(*row, block, select, causal, length) for row in zip(q, k, v, strict=True)]
    truth = mixer.out(torch.stack(rows).transpose(1, 2).flatten(2))
    ours = mixer(x)
    torch.testing.assert_close(ours, truth)
    cotangent = torch.linspace(-1, 1, ours.numel()).double().view_as(ours)
    given = [x, *mixer.parameters()]
    for one, other in zip(
        torch.autograd.grad(ours, given, cotangent),
        torch.autograd.grad(truth, given, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_it_is_the_authors_brute_force() -> None:
    """Their moba_naive: gates of +inf for the own block, -inf for later ones; top k; a softmax."""
    mixer, length, block = build(select=3), 30, 4
    q, k, v = mixer.project(torch.randn(1, length, DIM, dtype=torch.double))
    means = [k[:, :, at : at + block].mean(dim=2) for at in range(0, length, block)]
    gate = q @ torch.stack(means, dim=2).mT
    for c in range(gate.shape[3]):
        gate[:, :, : (c + 1) * block, c] = -inf
        gate[:, :, c * block : (c + 1) * block, c] = inf
    chosen = torch.zeros_like(gate).scatter(3, gate.topk(3, dim=3).indices, 1) * (gate > -inf)
    seen = chosen.bool().repeat_interleave(block, dim=3)[..., :length].tril()
    weight = (q @ k.mT).masked_fill(~seen, -inf) / sqrt(q.shape[3])
    truth = weight.softmax(dim=3) @ v
    torch.testing.assert_close(mixer.attend(q, k, v), truth)


def flash(q: Tensor, k: Tensor, v: Tensor, ends_q: Tensor, ends_k: Tensor, causal: bool) -> Any:
    """What flash-attn's variable length forward pass gives, and the logarithms of the sums."""
    y, sums = torch.zeros_like(q), q.new_zeros(q.shape[1], len(q))
    for at in range(len(ends_q) - 1):
        mine, keys = (slice(int(z[at]), int(z[at + 1])) for z in (ends_q, ends_k))
        scores = torch.einsum("qhe,khe->hqk", q[mine], k[keys]) / sqrt(q.shape[2])
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -inf)
        y[mine] = torch.einsum("hqk,khe->qhe", scores.softmax(dim=-1), v[keys])
        sums[:, mine] = scores.logsumexp(dim=-1)
    return y, sums


def theirs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """fla's moba, over stand-ins for flash-attn and for helpers that only import with triton."""
    index = ModuleType("fla.ops.utils.index")
    index.prepare_lens = lambda ends: ends.diff()  # type: ignore[attr-defined]
    index.prepare_cu_seqlens_from_lens = lambda n: F.pad(n.cumsum(0), (1, 0))  # type: ignore[attr-defined]

    def cuts(ends: Tensor, size: int) -> list[list[int]]:
        return [
            [*range(a, b, size)] for a, b in zip(ends.tolist(), ends.tolist()[1:], strict=False)
        ]

    index.prepare_chunk_offsets = lambda ends, size: F.pad(  # type: ignore[attr-defined]
        torch.tensor([len(part) for part in cuts(ends, size)]).cumsum(0), (1, 0)
    )
    index.prepare_split_cu_seqlens = lambda split_size, cu_seqlens, dtype, device: torch.tensor(  # type: ignore[attr-defined]
        [*chain(*cuts(cu_seqlens, split_size)), int(cu_seqlens[-1])], dtype=dtype
    )
    index.prepare_chunk_indices = lambda ends, size: torch.tensor(  # type: ignore[attr-defined]
        [[row, at] for row, part in enumerate(cuts(ends, size)) for at in range(len(part))]
    )
    for name in ("fla", "fla.ops", "fla.ops.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "fla.ops.utils.index", index)
    where = importlib.util.find_spec("torch")
    assert where is not None
    assert where.origin is not None
    path = Path(where.origin).parents[1] / "fla/ops/moba/parallel.py"
    spec = importlib.util.spec_from_file_location("fla_moba", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def forward(
        *,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        causal: bool,
        **_: Any,
    ) -> Any:
        return *flash(q, k, v, cu_seqlens_q, cu_seqlens_k, causal), None, None

    monkeypatch.setattr(module, "flash_attn_varlen_func", forward)
    monkeypatch.setattr(module, "_flash_attn_varlen_forward", forward)
    return module


def test_flash_linear_attention_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    length, block, select = 45, 8, 3
    mixer = build(block=block, select=select).float()
    q, k, v = mixer.project(torch.randn(1, length, DIM))
    packed = [z.transpose(1, 2) for z in (q, k, v)]
    with torch.no_grad():
        y = theirs(monkeypatch).parallel_moba(
            *packed, torch.tensor([0, length]), length, block, select
        )
        torch.testing.assert_close(mixer.attend(q, k, v), y.transpose(1, 2))


@DIRECTIONS
def test_nan_in_the_padding_reaches_neither_outputs_nor_gradients(causal: bool) -> None:
    mixer = build(causal, rope=True)
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
def test_steps_are_the_forward(rope: bool) -> None:
    mixer, x = build(rope=rope, kv_heads=2), torch.randn(2, 43, DIM, dtype=torch.double)
    wanted = mixer(x)
    y, state = mixer.prefill(x[:, :18])
    more, state = mixer.prefill(x[:, 18:23], state)
    ys = [*y.unbind(1), *more.unbind(1)]
    for t in range(23, 43):
        y, state = mixer.step(x[:, t], state)
        ys.append(y)
        stored = {z.untyped_storage().data_ptr(): z.untyped_storage().nbytes() for z in state[1:]}
        assert sum(stored.values()) == 2 * 8 * mixer.state_size(t + 1)
    torch.testing.assert_close(torch.stack(ys, dim=1), wanted)


def test_steps_choose_as_the_forward_between_blocks_that_are_alike() -> None:
    """The same few tokens over and over: all means are equal but for rounding."""
    mixer = build(rope=False, block=3, select=2).float()
    x = torch.randn(1, 3, DIM).repeat(1, 20, 1)
    x = torch.cat([x, torch.randn(1, 5, DIM)], dim=1)
    with torch.no_grad():
        q, k, _ = mixer.project(x)
        whole = mixer.choose(q, mixer.means(k), None, 0)
        for t in range(60, 65):
            some = mixer.choose(q[:, :, t : t + 1], mixer.means(k[:, :, : t + 1]), None, t)
            assert torch.equal(some[:, :, 0], whole[:, :, t])


def test_autocast_leaves_the_choice_its_digits() -> None:
    mixer = build(block=4, select=3).float()
    q, k = torch.randn(2, 2, HEADS, 400, 4).bfloat16()
    means = mixer.means(k)
    wanted = mixer.choose(q, means, None, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mixer.choose(q, means, None, 0), wanted)


def test_bidirectional_does_not_step() -> None:
    mixer = build(causal=False)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.step(torch.zeros(1, DIM).double(), mixer.initial_state(1))


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.numel = max(self.numel, leaf.numel())
        return out


@DIRECTIONS
@pytest.mark.parametrize("kernel", ["numba", "gathered"])
def test_nothing_grows_with_the_square_of_the_length(
    causal: bool, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_sparse.selected.ROOM", 2**17)
    mixer, sizes = build(causal, block=16, kernel=kernel).float(), []
    for length in (1024, 2048):
        x = torch.randn(1, length, DIM, requires_grad=True)
        with Largest() as largest:  # type: ignore[no-untyped-call]
            mixer(x, torch.tensor([length - 1])).sum().backward()
        sizes.append(largest.numel)
    assert sizes[1] <= 2 * sizes[0]
    assert sizes[1] < 2048**2 / 10


@DIRECTIONS
@pytest.mark.parametrize(("block", "select"), [(64, 3), (5, 2), (2000, 3)])
def test_flops_are_those_counted(block: int, select: int, causal: bool) -> None:
    mixer = build(causal, rope=True, block=block, select=select, kernel="gathered").to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        mixer(torch.empty(2, 1024, DIM, dtype=torch.double, device="meta"))
    assert mixer.flops(2, 1024).matmul == counter.get_total_flops()


@DIRECTIONS
def test_bfloat16_and_autocast_stay_near_float64(causal: bool) -> None:
    options = {"block": 16, "select": 5}  # all blocks: a choice may turn over by rounding
    x, lengths = torch.randn(2, 65, DIM, dtype=torch.double), torch.tensor([65, 30])
    real = torch.arange(65) < lengths[:, None]
    truth = build(causal, rope=True, **options)(x, lengths)[real]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = build(causal, rope=True, **options).float()(x.float(), lengths)[real]
    narrow = build(causal, rope=True, **options).bfloat16()(x.bfloat16(), lengths)[real]
    for y in (mixed, narrow):
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.double(), truth, atol=2e-2, rtol=0)


def test_sizes_that_do_not_fit_are_refused_with_those_that_do() -> None:
    with pytest.raises(zoo.ZooError, match=r"heads=3 .* dim=16; try mixer.heads="):
        Moba(16, heads=3)
    with pytest.raises(zoo.ZooError, match=r"kv_heads=3 does not divide mixer.heads=4; try"):
        Moba(16, kv_heads=3)
    with pytest.raises(zoo.ZooError, match="embedding"):
        Moba(16, position=Sinusoidal)
