"""State space duality: every kernel against the recurrence unrolled into a sum, with gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.flop_counter import FlopCounterMode

from zoo_ssm.ssd import KERNELS, dressed, ssd
from zoo_ssm.ssd_chunked import chunked, cost

Run = Callable[..., tuple[Tensor, Tensor]]
BY_NAME = {kernel.name: kernel.run for kernel in KERNELS}
RUNS = [
    *(pytest.param(run, id=name) for name, run in BY_NAME.items()),
    *(
        pytest.param(partial(ssd, partial(dressed, partial(chunked, chunk=n))), id=f"chunk-of-{n}")
        for n in (1, 7, 16)
    ),
]
KERNEL_RUNS = RUNS[:3]


def draw(
    batch: int,
    length: int,
    heads: int = 4,
    width: int = 3,
    groups: int = 2,
    state: int = 5,
    dtype: torch.dtype = torch.float64,
) -> Any:
    """x, log_decay, b, c and a first state, a list of tensors that want gradients."""
    torch.manual_seed(length)
    shared = (batch, length, groups, state)
    shapes = [(batch, length, heads, width), (batch, length, heads), shared, shared]
    tensors = [torch.randn(shape, dtype=dtype) for shape in (*shapes, (batch, heads, state, width))]
    tensors[1] = -tensors[1].exp() / 4
    return [tensor.requires_grad_() for tensor in tensors]


def unrolled(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor) -> Any:
    """y_t = C_t (exp(s_t) S_0 + sum_{r <= t} exp(s_t - s_r) B_r x_r), s = cumsum log_decay."""
    head = torch.arange(x.shape[2]) // (x.shape[2] // b.shape[2])  # its group
    b, c, s = b[:, :, head], c[:, :, head], log_decay.cumsum(1)
    gap = s[:, :, None] - s[:, None]  # (b, t, r, h)
    past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()[:, :, None]
    weight = torch.where(past, gap.where(past, 0).exp(), 0)
    first = s.exp()[..., None, None] * state[:, None]
    states = torch.einsum("btrh,brhn,brhp->bthnp", weight, b, x) + first
    return torch.einsum("bthnp,bthn->bthp", states, c), states[:, -1]


def gradients(run: Run, tensors: list[Tensor]) -> list[Tensor]:
    """y, last, and what a fixed random loss on both gives to each input."""
    y, last = run(*tensors)
    torch.manual_seed(1)
    loss = (y * torch.randn(y.shape)).sum() + (last * torch.randn(last.shape)).sum()
    return [y, last, *torch.autograd.grad(loss, tensors)]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 13), (1, 64), (2, 131)])
def test_outputs_and_gradients_are_those_of_the_unrolled_sum(
    run: Run, batch: int, length: int
) -> None:
    tensors = draw(batch, length)
    for mine, right in zip(gradients(run, tensors), gradients(unrolled, tensors), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("run", KERNEL_RUNS)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("width", "state"), [(1, 1), (16, 64), (70, 33), (24, 17)])
def test_any_width_of_head_and_state(run: Run, width: int, state: int, groups: int) -> None:
    tensors = draw(1, 11, 3, width, groups, state)
    for mine, right in zip(gradients(run, tensors), gradients(unrolled, tensors), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("run", RUNS)
def test_single_precision_stays_close(run: Run) -> None:
    tensors = draw(2, 150, dtype=torch.float32)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    for mine, right in zip(gradients(run, tensors), gradients(unrolled, exact), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(
            mine.double(), right, rtol=1e-4, atol=1e-5 * float(right.detach().abs().max())
        )


@pytest.mark.parametrize("name", ["numba", "chunked"])
@pytest.mark.parametrize("decay", [1e-4, 0.1, 10.0])
def test_the_gradient_of_decays_does_not_drift_over_a_long_row(name: str, decay: float) -> None:
    tensors = draw(1, 5000, 2, 16, 1, 16, torch.float32)
    tensors[1] = (decay * tensors[1].detach()).requires_grad_()
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    mine, right = gradients(BY_NAME[name], tensors)[3], gradients(BY_NAME["numba"], exact)[3]
    assert (mine - right).norm() < 1e-5 * right.norm()
    assert abs((mine - right).sum()) < 1e-5 * right.norm() * len(right.flatten()) ** 0.5


@pytest.mark.parametrize("run", RUNS)
def test_two_parts_with_the_state_between_are_one_pass(run: Run) -> None:
    x, log_decay, b, c, state = draw(2, 150)
    whole, end = run(x, log_decay, b, c, state)
    early, late = (
        [each[:, part] for each in (x, log_decay, b, c)] for part in (slice(0, 9), slice(9, None))
    )
    first, between = run(*early, state)
    second, last = run(*late, between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, end)
    fresh, _ = run(*early)
    zeros, _ = run(*early, torch.zeros_like(state))
    assert torch.equal(fresh, zeros)


@pytest.mark.parametrize("run", RUNS)
def test_scale_and_skip(run: Run) -> None:
    x, log_decay, b, c, state = tensors = draw(2, 21)
    scale = torch.rand(2, 21, 4, dtype=torch.float64, requires_grad=True)
    skip = torch.randn(4, dtype=torch.float64, requires_grad=True)

    def mine(*every: Tensor) -> Any:
        return run(*every[:5], scale=every[5], skip=every[6])

    def right(*every: Tensor) -> Any:
        y, last = unrolled(x * scale[..., None], log_decay, b, c, state)
        return y + skip[:, None] * x, last

    every = [*tensors, scale, skip]
    for one, other in zip(gradients(mine, every), gradients(right, every), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_forgets_nothing_or_all_stays_finite_and_exact(run: Run, dtype: torch.dtype) -> None:
    tensors = draw(1, 40, dtype=dtype)
    choice = torch.tensor([0.0, -1e4, -1e-3], dtype=dtype)[torch.arange(160).remainder(7) % 3]
    tensors[1] = choice.view(1, 40, 4).requires_grad_()
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    for mine, right in zip(gradients(run, tensors), gradients(unrolled, exact), strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("run", KERNEL_RUNS)
def test_bfloat16_is_rounded_only_at_the_edges(run: Run) -> None:
    rounded = [tensor.detach().bfloat16() for tensor in draw(2, 100)]
    rounded[4] = rounded[4].float()  # a state is never narrow
    narrow = [tensor.clone().requires_grad_() for tensor in rounded]
    wide = [tensor.float().requires_grad_() for tensor in rounded]
    y, last = run(*narrow)
    right, right_last = run(*wide)
    assert y.dtype == torch.bfloat16
    assert last.dtype == torch.float32
    assert torch.equal(y, right.bfloat16())
    assert torch.equal(last, right_last)
    weight = torch.randn_like(y)
    mine = torch.autograd.grad(y, narrow, weight)
    exact = torch.autograd.grad(right, wide, weight.float())
    for one, other, given in zip(mine, exact, narrow, strict=True):
        assert one.dtype == given.dtype
        torch.testing.assert_close(one.float(), other, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("run", KERNEL_RUNS)
def test_autocast_changes_nothing(run: Run) -> None:
    tensors = draw(2, 70, dtype=torch.float32)
    plain, last = run(*tensors)
    grads = torch.autograd.grad(plain.sum(), tensors)
    with torch.autocast("cpu", torch.bfloat16):
        cast, cast_last = run(*tensors)
    assert torch.equal(plain, cast)
    assert torch.equal(last, cast_last)
    for one, other in zip(grads, torch.autograd.grad(cast.sum(), tensors), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("run", KERNEL_RUNS)
def test_gradcheck_with_a_state_and_groups(run: Run) -> None:
    assert gradcheck(run, draw(1, 3, 2, 2, 2, 2))


def test_second_derivatives_are_refused_by_numba_and_given_by_the_others() -> None:
    tensors = draw(1, 3, 1, 1, 1, 1)
    assert gradgradcheck(BY_NAME["reference"], tensors)
    assert gradgradcheck(BY_NAME["chunked"], tensors)
    y, _ = BY_NAME["numba"](*tensors)
    (dx,) = torch.autograd.grad(y.square().sum(), tensors[0], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        torch.autograd.backward(dx.sum())


@pytest.mark.parametrize("length", [5, 64, 100, 192])
def test_cost_is_what_the_counter_sees(length: int) -> None:
    with torch.device("meta"):
        tensors = draw(2, length, 6, 8, 3, 5, torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        BY_NAME["chunked"](*tensors)
    assert 2 * cost(length, 6, 3, 5, 8).matmul == counter.get_total_flops()
