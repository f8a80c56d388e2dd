"""Linear attention against the paper's sums in float64, and fla's naive one."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_linear.kernelized import chunked, reference
from zoo_linear.linear_attention import LinearAttention, feature

DIM, HEADS = 12, 3
DIRECTIONS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


def build(causal: bool = True) -> LinearAttention:
    torch.manual_seed(0)
    return LinearAttention(DIM, causal=causal, heads=HEADS).double()


def by_hand(mixer: LinearAttention, x: Tensor, lengths: list[int]) -> Tensor:
    """sum_j w_ij v_j / sum_j w_ij, w_ij = f(q_i) f(k_j), f(x) = x + 1 above zero, else exp(x)."""
    q, k, v = (
        (x @ weight.mT).view(*x.shape[:2], HEADS, -1) for weight in mixer.qkv.weight.chunk(3)
    )
    q, k = (torch.where(z > 0, z + 1, z.exp()) for z in (q, k))
    weight = torch.einsum("bihe,bjhe->bhij", q, k)
    at = torch.arange(x.shape[1])
    seen = (at < torch.tensor(lengths)[:, None])[:, None, None, :]
    if mixer.causal:
        seen = seen & (at <= at[:, None])
    weight = torch.where(seen, weight, 0)
    y = torch.einsum("bhij,bjhe->bihe", weight / weight.sum(dim=-1, keepdim=True), v)
    return y.flatten(2) @ mixer.out.weight.mT


def assert_same_gradients(ours: Tensor, truth: Tensor, inputs: list[Tensor]) -> None:
    cotangent = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype).view_as(ours)
    for one, other in zip(
        torch.autograd.grad(ours, inputs, cotangent),
        torch.autograd.grad(truth, inputs, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@DIRECTIONS
@pytest.mark.parametrize("kernel", ["chunked", "reference"])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 31), (1, 97)])
def test_outputs_and_gradients_are_those_of_the_paper(
    kernel: str, causal: bool, batch: int, length: int
) -> None:
    mixer = build(causal)
    mixer.kernel = kernel
    x = 3 * torch.randn(batch, length, DIM, dtype=torch.float64)
    x.requires_grad_()
    ours, truth = mixer(x), by_hand(mixer, x, [length] * batch)
    torch.testing.assert_close(ours, truth)
    assert_same_gradients(ours, truth, [x, *mixer.parameters()])
    assert mixer.kernel_ran == kernel


def fla_naive() -> Any:
    """fla's naive recurrence, loaded as a file: its package wants triton."""
    package = importlib.util.find_spec("fla")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "ops" / "linear_attn" / "naive.py"
    spec = importlib.util.spec_from_file_location("fla_naive_linear", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.naive_recurrent_linear_attn


@pytest.mark.parametrize("run", [chunked, reference])
def test_fla_agrees(run: Any) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, HEADS, 75, 16, requires_grad=True).unbind()
    fq, fk = feature(q), feature(k)
    ours = run(fq, fk, v, True)
    theirs, _ = fla_naive()(*(z.transpose(1, 2) for z in (fq, fk, v)), normalize=True)
    torch.testing.assert_close(ours, theirs.transpose(1, 2), atol=1e-5, rtol=1e-4)


@DIRECTIONS
@pytest.mark.parametrize("kernel", ["chunked", "reference"])
def test_nan_in_the_padding_reaches_neither_outputs_nor_gradients(
    kernel: str, causal: bool
) -> None:
    mixer = build(causal)
    mixer.kernel = kernel
    lengths = torch.tensor([40, 33, 1])
    real = torch.arange(40) < lengths[:, None]
    clean = torch.randn(3, 40, DIM, dtype=torch.float64)
    x = clean.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    torch.testing.assert_close(y, by_hand(mixer, clean, lengths.tolist())[real])
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


def test_no_gradient_flows_from_the_future() -> None:
    x = torch.randn(1, 70, DIM, dtype=torch.float64, requires_grad=True)
    for i in (0, 31, 32, 50):
        (grad,) = torch.autograd.grad(build()(x)[0, i].sum(), x)
        assert (grad[0, i + 1 :] == 0).all()
        assert (grad[0, : i + 1].abs().sum(dim=1) > 0).all()


def test_steps_are_the_forward_and_the_state_never_grows() -> None:
    mixer = build()
    x = torch.randn(2, 40, DIM, dtype=torch.float64)
    state, ys = mixer.initial_state(2), []
    for t in range(40):
        y, state = mixer.step(x[:, t], state)
        ys.append(y)
    torch.testing.assert_close(torch.stack(ys, dim=1), mixer(x))
    stored = {z.untyped_storage().data_ptr(): z.untyped_storage().nbytes() for z in state}
    assert sum(stored.values()) == 2 * 8 * mixer.state_size(40)


def test_bidirectional_does_not_step() -> None:
    mixer = build(causal=False)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.step(torch.zeros(1, DIM).double(), mixer.initial_state(1))


@DIRECTIONS
@pytest.mark.parametrize(("dim", "length"), [(12, 96), (256, 128), (12, 20)])
def test_flops_are_those_counted(dim: int, length: int, causal: bool) -> None:
    with torch.device("meta"):
        mixer, x = LinearAttention(dim, causal=causal, heads=2), torch.empty(3, length, dim)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    assert mixer.flops(3, length).matmul == counter.get_total_flops()


@DIRECTIONS
@pytest.mark.parametrize("autocast", [False, True], ids=["bfloat16", "autocast"])
def test_only_inputs_and_outputs_are_rounded(autocast: bool, causal: bool) -> None:
    mixer = build(causal)
    with torch.no_grad():  # queries, keys and values are x, which bfloat16 can hold
        mixer.qkv.weight.copy_(torch.eye(DIM).repeat(3, 1))
        mixer.out.weight.copy_(torch.eye(DIM))
    x = torch.randn(1, 300, DIM).bfloat16()
    truth = by_hand(mixer, x.double(), [300])
    dtype = torch.float32 if autocast else torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = mixer.to(dtype)(x.to(dtype))
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), truth, rtol=2**-8, atol=1e-6)


@DIRECTIONS
def test_bfloat16_and_autocast_stay_near_float64(causal: bool) -> None:
    x, lengths = torch.randn(2, 65, DIM, dtype=torch.float64), torch.tensor([65, 30])
    real = torch.arange(65) < lengths[:, None]
    truth = build(causal)(x, lengths)[real]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = build(causal).float()(x.float(), lengths)[real]
    narrow = build(causal).bfloat16()(x.bfloat16(), lengths)[real]
    for y in (mixed, narrow):
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.double(), truth, atol=2e-2, rtol=0)


def test_autocast_steps_keep_a_float32_state() -> None:
    mixer, x = build().float(), torch.randn(1, 5, DIM)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state, ys = mixer.initial_state(1), []
        for t in range(5):
            y, state = mixer.step(x[:, t], state)
            ys.append(y)
        assert {z.dtype for z in state} == {torch.float32}
        torch.testing.assert_close(torch.stack(ys, dim=1), mixer(x), atol=1e-2, rtol=1e-2)


def test_features_that_vanish_do_not_divide_by_zero() -> None:
    x = torch.full((1, 1, 3, 4), -200.0, requires_grad=True)
    y = chunked(feature(x), feature(x), torch.ones(1, 1, 3, 4), True)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert y.isfinite().all()
    assert grad.isfinite().all()


def test_heads_that_do_not_divide_are_refused_with_one_that_does() -> None:
    with pytest.raises(zoo.ZooError, match=r"heads=5 .* dim=24; try mixer.heads=4"):
        LinearAttention(24, heads=5)


@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("parts", [[1, 70], [33, 1, 37], [71]])
def test_a_prefill_in_parts_leaves_the_state_of_the_steps(kernel: str, parts: list[int]) -> None:
    mixer = build()
    mixer.kernel = kernel
    x = torch.randn(2, 71, DIM, dtype=torch.float64)
    state, ys = None, []
    for part in torch.split(x, parts, dim=1):
        y, state = mixer.prefill(part, state)
        ys.append(y)
    stepped = mixer.initial_state(2)
    for token in x.unbind(1):
        _, stepped = mixer.step(token, stepped)
    assert state is not None
    torch.testing.assert_close(torch.cat(ys, dim=1), by_hand(mixer, x, [71, 71]))
    torch.testing.assert_close(state, stepped)
    sizes = [one.untyped_storage().nbytes() for one in state]  # no view of what is larger
    assert sizes == [one.nbytes for one in stepped]
