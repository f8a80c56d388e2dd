"""Full attention against the equation, written out query by query in float64."""

from itertools import pairwise
from math import sqrt

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.ops.attention import worth_trimming
from zoo_attention.full import Attention
from zoo_position.learned import Learned
from zoo_position.rope import Rope

DIM, HEADS = 24, 3


def build(causal: bool = True, rope: bool = False, kernel: str = "auto") -> Attention:
    torch.manual_seed(0)
    position = Rope if rope else None
    mixer = Attention(DIM, causal=causal, position=position, heads=HEADS, kernel=kernel)  # type: ignore[arg-type]
    return mixer.double()


def turned(x: Tensor, at: int) -> Tensor:
    """One query or key (b, h, e) at one position, as complex numbers times exp(i angle)."""
    half = x.shape[-1] // 2
    angle = at * 10000.0 ** (-torch.arange(half).double() / half)
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], dim=-1)


def by_hand(mixer: Attention, x: Tensor, lengths: Tensor | None, rope: bool) -> Tensor:
    """softmax over the keys that a query may see, one query at a time."""
    batch, length, dim = x.shape
    q, k, v = (
        (x @ weight.mT).view(batch, length, HEADS, -1) for weight in mixer.qkv.weight.chunk(3)
    )
    if rope:
        q, k = (torch.stack([turned(z[:, t], t) for t in range(length)], dim=1) for z in (q, k))
    rows = []
    for b in range(batch):
        real = length if lengths is None else int(lengths[b])
        ys = []
        for i in range(length):
            end = i + 1 if mixer.causal else real
            weight = torch.einsum("he,jhe->hj", q[b, i], k[b, :end]) / sqrt(dim / HEADS)
            weight = weight.exp() / weight.exp().sum(dim=1, keepdim=True)
            ys.append(torch.einsum("hj,jhe->he", weight, v[b, :end]).flatten())
        rows.append(torch.stack(ys) @ mixer.out.weight.mT)
    return torch.stack(rows)


def gradients(y: Tensor, x: Tensor, mixer: Attention) -> list[Tensor]:
    cotangent = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return list(torch.autograd.grad((y * cotangent).sum(), [x, *mixer.parameters()]))


@pytest.mark.parametrize("rope", [False, True], ids=["bare", "rope"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 13)])
def test_outputs_and_gradients_are_those_of_the_equation(
    kernel: str, causal: bool, rope: bool, batch: int, length: int
) -> None:
    mixer = build(causal, rope, kernel)
    x = torch.randn(batch, length, DIM, dtype=torch.float64, requires_grad=True)
    ours, truth = mixer(x), by_hand(mixer, x, None, rope)
    torch.testing.assert_close(ours, truth)
    torch.testing.assert_close(gradients(ours, x, mixer), gradients(truth, x, mixer))
    assert mixer.kernel_ran == kernel


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
def test_padding_of_any_kind_changes_nothing(kernel: str, causal: bool) -> None:
    mixer = build(causal, rope=True, kernel=kernel)
    x, lengths = torch.randn(3, 11, DIM, dtype=torch.float64), torch.tensor([11, 4, 1])
    real = torch.arange(11) < lengths[:, None]
    x = x.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    clean = x.detach().nan_to_num(7.0)
    torch.testing.assert_close(y, by_hand(mixer, clean, lengths, rope=True)[real])
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_rows_trimmed_one_by_one_are_as_masked_together(causal: bool) -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(3, 4, 2, 301, 8, dtype=torch.float64, requires_grad=True).unbind()
    lengths = torch.tensor([301, 100, 1, 0])
    assert worth_trimming(lengths, 301)
    real = (torch.arange(301) < lengths[:, None])[:, None, :, None].expand_as(q)
    bias = zoo.ops.AttentionBias(causal, lengths=lengths)
    ours, truth = (kernel.run(q, k, v, bias) for kernel in (zoo.ops.SDPA, zoo.ops.REFERENCE))
    assert ours.isfinite().all()
    torch.testing.assert_close(ours[real], truth[real])
    for one, other in zip(
        torch.autograd.grad(ours[real].square().sum(), [q, k, v]),
        torch.autograd.grad(truth[real].square().sum(), [q, k, v]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_full_or_short_rows_are_not_trimmed() -> None:
    assert not worth_trimming(torch.tensor([300, 299]), 300)
    assert not worth_trimming(torch.tensor([10, 200]), 200)
    assert not worth_trimming(torch.tensor([10, 300], device="meta"), 300)


def test_no_gradient_flows_from_the_future() -> None:
    x = torch.randn(1, 9, DIM, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(build(rope=True)(x)[0, 4].sum(), x)
    assert (grad[0, 5:] == 0).all()
    assert (grad[0, :5].abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("rope", [False, True], ids=["bare", "rope"])
def test_steps_are_the_forward_and_the_cache_is_as_large_as_said(rope: bool) -> None:
    mixer = build(rope=rope)
    x = torch.randn(2, 10, DIM, dtype=torch.float64)
    state, ys = mixer.initial_state(2), []
    for t in range(10):
        y, state = mixer.step(x[:, t], state)
        ys.append(y)
        done, *cache = state
        assert done == t + 1
        stored = {z.untyped_storage().data_ptr(): z.untyped_storage().nbytes() for z in cache}
        assert sum(stored.values()) == 2 * 8 * mixer.state_size(t + 1)
    torch.testing.assert_close(torch.stack(ys, dim=1), mixer(x))


def test_bidirectional_does_not_step() -> None:
    mixer = build(causal=False)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.step(torch.zeros(1, DIM).double(), mixer.initial_state(1))


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_flops_are_those_counted(causal: bool) -> None:
    mixer = build(causal, rope=True).to("meta")
    with FlopCounterMode(display=False) as counter:
        mixer(torch.empty(2, 96, DIM, dtype=torch.float64, device="meta"))
    assert mixer.flops(2, 96).matmul == counter.get_total_flops()
    totals = [mixer.flops(1, n).total / n for n in (64, 128, 256)]
    assert all(b > a for a, b in pairwise(totals))  # dearer per token as it grows


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_bfloat16_and_autocast_stay_near_float64(causal: bool) -> None:
    exact = build(causal, rope=True)
    x, lengths = torch.randn(2, 65, DIM, dtype=torch.float64), torch.tensor([65, 30])
    real = torch.arange(65) < lengths[:, None]
    truth = exact(x, lengths)[real]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = build(causal, rope=True).float()(x.float(), lengths)[real]
    narrow = build(causal, rope=True).bfloat16()(x.bfloat16(), lengths)[real]
    for y in (mixed, narrow):
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.double(), truth, atol=2e-2, rtol=0)


def test_autocast_steps_are_the_autocast_forward() -> None:
    mixer, x = build(rope=True).float(), torch.randn(1, 5, DIM)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state, ys = mixer.initial_state(1), []
        for t in range(5):
            y, state = mixer.step(x[:, t], state)
            ys.append(y)
        assert {z.dtype for z in state[1:]} == {torch.bfloat16}
        torch.testing.assert_close(torch.stack(ys, dim=1), mixer(x), atol=1e-2, rtol=1e-2)


def test_heads_that_do_not_divide_are_refused_with_one_that_does() -> None:
    with pytest.raises(zoo.ZooError, match=r"heads=5 .* dim=24; try mixer.heads=4"):
        Attention(24, heads=5)


def test_a_position_on_embeddings_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"embedding cannot act inside.*position=none"):
        Attention(24, position=lambda dim, heads: Learned(dim, heads, max_length=8))


def test_an_unknown_kernel_is_refused_with_the_known() -> None:
    mixer = build()
    mixer.kernel = "sdp"
    with pytest.raises(zoo.ZooError, match="did you mean 'sdpa'"):
        mixer(torch.zeros(1, 2, DIM).double())
