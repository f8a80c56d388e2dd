"""The sliding window against a dense mask written from its definition, and local-attention."""

from math import sqrt
from typing import Any

import pytest
import torch
from local_attention import LocalAttention
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.ops import AttentionBias, Band
from zoo_position.rope import Rope
from zoo_position.sinusoidal import Sinusoidal
from zoo_sparse.near import block_size
from zoo_sparse.sliding import Sliding
from zoo_sparse.window import blocked

DIM, HEADS = 16, 2
reference = zoo.ops.REFERENCE.run
DIRECTIONS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


def build(window: int, causal: bool = True, rope: bool = False) -> Sliding:
    torch.manual_seed(0)
    mixer = Sliding(DIM, causal=causal, position=Rope if rope else None, heads=HEADS, window=window)
    return mixer.double()


def in_sight(i: int, window: int, causal: bool) -> range:
    """The keys of query i, before the ends of the sequence cut them."""
    first = i - window + 1 if causal else i - window // 2
    return range(first, first + window)


def by_hand(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool, real: list[int]) -> Tensor:
    """Softmax over the keys in sight, one query at a time; zeros in the padding."""
    y = []
    for b, length in enumerate(real):
        for i in range(q.shape[2]):
            keys = [j for j in in_sight(i, window, causal) if 0 <= j < length]
            if i >= length:
                y.append(torch.zeros_like(q[b, :, i]))
                continue
            weight = torch.einsum("he,hje->hj", q[b, :, i], k[b, :, keys]) / sqrt(q.shape[3])
            weight = weight.exp() / weight.exp().sum(dim=1, keepdim=True)
            y.append(torch.einsum("hj,hje->he", weight, v[b, :, keys]))
    return torch.stack(y).view(len(real), q.shape[2], *y[0].shape).transpose(1, 2)


@DIRECTIONS
@pytest.mark.parametrize(
    ("window", "length"), [(1, 5), (2, 33), (8, 1), (7, 70), (64, 67), (90, 40)]
)
@pytest.mark.parametrize("run", [blocked, reference])
def test_outputs_and_gradients_are_those_of_the_definition(
    run: Any, window: int, length: int, causal: bool
) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(3, 2, HEADS, length, 8, dtype=torch.float64, requires_grad=True)
    q, k, v = qkv
    ours = run(q, k, v, AttentionBias(causal, Band.of(window, causal)))
    truth = by_hand(q, k, v, window, causal, [length] * 2)
    torch.testing.assert_close(ours, truth)
    cotangent = torch.linspace(-1, 1, ours.numel()).double().view_as(ours)
    for one, other in zip(
        torch.autograd.grad(ours, qkv, cotangent),
        torch.autograd.grad(truth, qkv, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@DIRECTIONS
@pytest.mark.parametrize("run", [blocked, reference])
def test_padded_keys_are_out_of_sight(run: Any, causal: bool) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 3, HEADS, 75, 8, dtype=torch.float64, requires_grad=True).unbind()
    lengths = torch.tensor([75, 40, 1])
    real = torch.arange(75) < lengths[:, None]
    seen = real[:, None, :, None].expand_as(q)
    y = run(q, k, v, AttentionBias(causal, Band.of(7, causal), lengths))
    assert y.isfinite().all()
    torch.testing.assert_close(y[seen], by_hand(q, k, v, 7, causal, lengths.tolist())[seen])


@DIRECTIONS
def test_nan_in_the_padding_reaches_neither_outputs_nor_gradients(causal: bool) -> None:
    mixer = build(6, causal, rope=True)
    lengths = torch.tensor([50, 33, 1])
    real = torch.arange(50) < lengths[:, None]
    clean = torch.randn(3, 50, DIM, dtype=torch.float64)
    x = clean.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    torch.testing.assert_close(y, mixer(clean, lengths)[real])
    alone = mixer(clean[1:2, :33])[0]
    torch.testing.assert_close(mixer(x, lengths)[1, :33], alone)
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


@DIRECTIONS
@pytest.mark.parametrize("window", [1, 2, 9, 10, 64])
def test_a_query_hears_exactly_its_window(window: int, causal: bool) -> None:
    x = torch.randn(1, 200, DIM, dtype=torch.float64, requires_grad=True)
    y = build(window, causal)(x)
    for i in (0, 31, 32, 100, 199):
        (grad,) = torch.autograd.grad(y[0, i].sum(), x, retain_graph=True)
        heard = grad[0].abs().sum(dim=1).nonzero().flatten().tolist()
        assert heard == [j for j in in_sight(i, window, causal) if 0 <= j < 200]


def test_local_attention_agrees_on_the_window() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, HEADS, 90, 8).unbind()
    # its exact window keeps one key more than it says
    theirs = LocalAttention(
        window_size=8, causal=True, exact_windowsize=True, autopad=True, use_rotary_pos_emb=False
    )
    ours = blocked(q, k, v, AttentionBias(True, Band.of(9, True)))
    torch.testing.assert_close(ours, theirs(q, k, v))


@pytest.mark.parametrize("window", [1, 4, 30])
@pytest.mark.parametrize("rope", [False, True], ids=["bare", "rope"])
def test_steps_are_the_forward_far_past_the_window(window: int, rope: bool) -> None:
    mixer = build(window, rope=rope)
    x = torch.randn(2, 23, DIM, dtype=torch.float64)
    state, ys = mixer.initial_state(2), []
    for t in range(23):
        y, state = mixer.step(x[:, t], state)
        ys.append(y)
        tensors = [z.untyped_storage() for z in tree_leaves(state) if isinstance(z, Tensor)]
        stored = {z.data_ptr(): z.nbytes() for z in tensors}
        assert sum(stored.values()) == 2 * 8 * mixer.state_size(t + 1)
    assert mixer.state_size(23) == 2 * DIM * min(window - 1, 23)
    torch.testing.assert_close(torch.stack(ys, dim=1), mixer(x))


def test_bidirectional_does_not_step() -> None:
    mixer = build(4, causal=False)
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
def test_nothing_grows_with_the_square_of_the_length(causal: bool) -> None:
    mixer, sizes = build(16, causal).float(), []
    for length in (1024, 2048):
        x = torch.randn(1, length, DIM, requires_grad=True)
        with Largest() as largest:  # type: ignore[no-untyped-call]
            mixer(x, torch.tensor([length - 1])).sum().backward()
        sizes.append(largest.numel)
    assert sizes[1] <= 2 * sizes[0]
    assert sizes[1] < 2048**2 / 10


@DIRECTIONS
@pytest.mark.parametrize("window", [1, 64, 200, 4000])
def test_flops_are_those_counted(window: int, causal: bool) -> None:
    mixer = build(window, causal, rope=True).to("meta")
    with FlopCounterMode(display=False) as counter:
        mixer(torch.empty(2, 1024, DIM, dtype=torch.float64, device="meta"))
    assert mixer.flops(2, 1024).matmul == counter.get_total_flops()


def test_blocks_fit_the_window_and_the_sequence() -> None:
    assert block_size(Band.of(64, True), 10) == 10
    assert block_size(Band.of(64, True), 4096) == 32
    assert block_size(Band.of(512, False), 4096) == 128


@DIRECTIONS
def test_bfloat16_and_autocast_stay_near_float64(causal: bool) -> None:
    x, lengths = torch.randn(2, 65, DIM, dtype=torch.float64), torch.tensor([65, 30])
    real = torch.arange(65) < lengths[:, None]
    truth = build(9, causal, rope=True)(x, lengths)[real]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = build(9, causal, rope=True).float()(x.float(), lengths)[real]
    narrow = build(9, causal, rope=True).bfloat16()(x.bfloat16(), lengths)[real]
    for y in (mixed, narrow):
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.double(), truth, atol=2e-2, rtol=0)


def test_heads_that_do_not_divide_are_refused_with_one_that_does() -> None:
    with pytest.raises(zoo.ZooError, match=r"heads=3 .* dim=16; try mixer.heads="):
        Sliding(16, heads=3)


def test_a_position_on_embeddings_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"embedding.*position=none"):
        Sliding(16, position=Sinusoidal)
