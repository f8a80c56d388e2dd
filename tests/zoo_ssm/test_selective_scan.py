"""The portable scans against the recurrence unrolled into a sum, in outputs and gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from zoo_ssm.selective_scan import Scan, selective_scan
from zoo_ssm.selective_scan_chunked import adjoint, backward, chunk_for, chunked, forward, scan
from zoo_ssm.selective_scan_reference import reference

SCANS = [
    pytest.param(reference, id="reference"),
    pytest.param(chunked, id="chunked"),
    *(pytest.param(partial(chunked, chunk=n), id=f"chunk-of-{n}") for n in (1, 7, 16)),
]


def draw(
    batch: int, length: int, width: int = 5, state: int = 3, dtype: torch.dtype = torch.float64
) -> Any:
    """u, dt, a, b, c and a first state, a list of tensors that want gradients."""
    torch.manual_seed(length)
    shapes = [(batch, length, width)] * 2 + [(width, state)] + [(batch, length, state)] * 2
    tensors = [torch.randn(shape, dtype=dtype) for shape in (*shapes, (batch, width, state))]
    tensors[1] = tensors[1].exp() / 10
    tensors[2] = -tensors[2].exp()
    return [tensor.requires_grad_() for tensor in tensors]


def unrolled(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> Any:
    """y_t = C_t (exp(A s_t) h_0 + sum_{r <= t} exp(A (s_t - s_r)) dt_r B_r u_r), s = cumsum dt."""
    s = dt.cumsum(1)[..., None] * a  # (b, l, d, n)
    gap = s[:, :, None] - s[:, None]  # (b, t, r, d, n)
    past = torch.ones(u.shape[1], u.shape[1], dtype=torch.bool).tril()[:, :, None, None]
    weight = torch.where(past, gap.where(past, 0).exp(), 0)
    driven = (dt * u)[..., None] * b[:, :, None]  # (b, r, d, n)
    h = torch.einsum("btrdn,brdn->btdn", weight, driven) + s.exp() * state[:, None]
    return torch.einsum("btdn,btn->btd", h, c), h[:, -1]


def gradients(scan: Callable[..., Any], tensors: list[Tensor]) -> list[Tensor]:
    """y, last, and what a fixed random loss on both gives to each input."""
    y, last = scan(*tensors)
    torch.manual_seed(1)
    loss = (y * torch.randn(y.shape)).sum() + (last * torch.randn(last.shape)).sum()
    return [y, last, *torch.autograd.grad(loss, tensors)]


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("length", [1, 13, 64, 100])
def test_outputs_and_gradients_are_those_of_the_unrolled_sum(
    scan: Scan, batch: int, length: int
) -> None:
    tensors = draw(batch, length)
    got, want = gradients(scan, tensors), gradients(unrolled, tensors)
    for mine, right in zip(got, want, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("scan", SCANS)
def test_single_precision_stays_close(scan: Scan) -> None:
    tensors = draw(2, 100, dtype=torch.float32)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    for mine, right in zip(gradients(scan, tensors), gradients(unrolled, exact), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(
            mine.double(), right, rtol=1e-4, atol=1e-5 * float(right.detach().abs().max())
        )


@pytest.mark.parametrize("width_state", [(1, 3), (4, 1), (1, 1)])
def test_one_channel_and_one_number_of_state(width_state: tuple[int, int]) -> None:
    tensors = draw(2, 20, *width_state)
    torch.manual_seed(1)
    y, last = partial(chunked, chunk=8)(*tensors)
    grad = torch.randn(last.shape, dtype=last.dtype)
    kept = grad.clone()
    mine = torch.autograd.grad((y, last), tensors, (torch.ones_like(y), grad))
    y, last = unrolled(*tensors)
    right = torch.autograd.grad((y, last), tensors, (torch.ones_like(y), grad))
    torch.testing.assert_close(mine, right)
    assert torch.equal(grad, kept), "the incoming gradient was written to"


def test_gradcheck_of_the_whole_operation() -> None:
    u, dt, a, b, c, state = draw(2, 5, width=2, state=2)
    skip, bias = (torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    z = torch.randn_like(u, requires_grad=True)
    run = partial(selective_scan, partial(chunked, chunk=2))
    assert gradcheck(run, (u, dt, a, b, c, skip, z, bias, state))


def test_second_derivatives_are_refused_by_chunked_and_given_by_reference() -> None:
    tensors = draw(1, 3, width=1, state=1)
    assert gradgradcheck(reference, tensors)
    y, _ = chunked(*tensors)
    (du,) = torch.autograd.grad(y.square().sum(), tensors[0], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        torch.autograd.backward(du.sum())


@pytest.mark.parametrize("scan", SCANS)
def test_two_parts_with_the_state_between_are_one_pass(scan: Scan) -> None:
    u, dt, a, b, c, state = draw(2, 23)
    whole, end = scan(u, dt, a, b, c, state)
    first, between = scan(u[:, :9], dt[:, :9], a, b[:, :9], c[:, :9], state)
    second, last = scan(u[:, 9:], dt[:, 9:], a, b[:, 9:], c[:, 9:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, end)


def operands(batch: int, length: int, width: int, state: int) -> Any:
    """What selective_scan takes, as such a list: u, dt, a, b, c, skip, z, dt_bias."""
    u, _, a, b, c, _ = draw(batch, length, width, state, torch.float32)
    raw, z = torch.randn_like(u), torch.randn_like(u)
    tensors = [u, raw, a, b, c, torch.randn(width), z, torch.randn(width)]
    return [tensor.detach().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("scan", [reference, chunked])
def test_the_whole_operation_is_the_papers(scan: Scan) -> None:
    u, raw, a, b, c, skip, z, bias = tensors = operands(2, 21, 4, 3)
    y, last = selective_scan(scan, *tensors)
    dt = torch.log1p(torch.exp(raw + bias))  # softplus
    inner, h = unrolled(u, dt, a, b, c, torch.zeros(2, 4, 3))
    torch.testing.assert_close(y, (inner + skip * u) * z * torch.sigmoid(z), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(last, h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [reference, chunked])
def test_bfloat16_is_rounded_only_at_the_edges(scan: Scan) -> None:
    rounded = [x.detach().bfloat16() for x in operands(2, 100, 8, 4)]
    narrow = [x.clone().requires_grad_() for x in rounded]
    wide = [x.float().requires_grad_() for x in rounded]
    y, last = selective_scan(scan, *narrow)
    right, right_last = selective_scan(scan, *wide)
    assert y.dtype == torch.bfloat16
    assert last.dtype == torch.float32
    assert torch.equal(y, right.bfloat16())
    assert torch.equal(last, right_last)
    weight = torch.randn_like(y)
    mine = torch.autograd.grad(y, narrow, weight)
    exact = torch.autograd.grad(right, wide, weight.float())
    for one, other in zip(mine, exact, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, other.bfloat16(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("scan", [reference, chunked])
def test_autocast_changes_nothing_inside(scan: Scan) -> None:
    tensors = operands(2, 50, 8, 4)
    plain, last = selective_scan(scan, *tensors)
    grads = torch.autograd.grad(plain.sum(), tensors)
    with torch.autocast("cpu", torch.bfloat16):
        cast, cast_last = selective_scan(scan, *tensors)
        cast_grads = torch.autograd.grad(cast.sum(), tensors)
    assert torch.equal(plain, cast)
    assert torch.equal(last, cast_last)
    for one, other in zip(grads, cast_grads, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("scan", [reference, chunked])
@pytest.mark.parametrize("raw", [-1e4, 1e4, 1e38])
def test_extreme_steps_stay_finite(scan: Scan, raw: float) -> None:
    tensors = operands(1, 20, 3, 2)
    large = raw > 1e5
    tensors[1] = torch.full_like(tensors[1], raw).requires_grad_()
    if large:  # dt B u would itself leave float32
        tensors[0] = torch.zeros_like(tensors[0]).requires_grad_()
    y, last = selective_scan(scan, *tensors)
    found = [y, last, *torch.autograd.grad(y.sum(), tensors)]
    if large:
        found = found[:2]
    assert all(torch.isfinite(tensor).all() for tensor in found)
    if raw < 0:  # no time passes: only the skip is left
        u, z, skip = tensors[0], tensors[6], tensors[5]
        torch.testing.assert_close(y, skip * u * torch.nn.functional.silu(z))
        assert not last.any()


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the most numbers that any tensor made inside it held."""

    numbers: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, Tensor):
                self.numbers = max(self.numbers, each.untyped_storage().nbytes() // 4)
        return result


def test_chunked_never_holds_the_states_of_all_steps() -> None:
    tensors = draw(2, 512, 32, 16, torch.float32)
    states = 2 * 512 * 32 * 16

    def measure(chunk: int) -> int:
        with torch.no_grad(), Largest() as seen:  # type: ignore[no-untyped-call]
            y, last, bounds = forward(*[*tensors, chunk])
            backward(*[*tensors[:-1], bounds, y, last, chunk])
        return int(seen.numbers)

    chosen = chunk_for(tensors[0], tensors[2])
    assert measure(chosen) < states / 7
    assert measure(512) >= states, "the probe would not have seen it"


def test_chunked_keeps_few_states_for_the_backward_pass() -> None:
    tensors = draw(2, 512, 32, 16, torch.float32)
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        chunked(*tensors)
    assert sum(kept) <= sum(map(Tensor.numel, tensors)) + 512 // 16 * 2 * 32 * 16
    assert kept, "nothing was seen"


def test_the_counter_sees_of_the_operators_what_is_inside() -> None:
    def counted(run: Callable[..., Any], inputs: list[Any]) -> tuple[Any, int]:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            outputs = run(*inputs)
        return outputs, counter.get_total_flops()

    tensors = draw(2, 37)
    (y, last, bounds), inside = counted(forward, [*tensors, 16])
    assert counted(scan, [*tensors, 16])[1] == inside > 0
    inputs = [*tensors[:-1], bounds, y, last, 16]
    assert counted(adjoint, inputs)[1] == counted(backward, inputs)[1] > inside
