"""The compiled selective scan: against the float64 recurrence, and as torch's tools see it."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm.selective_scan import numba, selective_scan
from zoo_ssm.selective_scan_compiled import layout, scan
from zoo_ssm.selective_scan_reference import reference


def operands(
    batch: int, length: int, dim: int, n: int, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """u, dt, a, b, c, skip, z, dt_bias, state."""
    torch.manual_seed(batch * length + dim)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype)

    along, inner = (batch, length, dim), (batch, length, n)
    tensors = [normal(*along), normal(*along) - 1, -3 * torch.rand(dim, n, dtype=dtype)]
    tensors += [normal(*inner), normal(*inner), normal(dim), normal(*along), normal(dim)]
    return [x.requires_grad_() for x in [*tensors, normal(batch, dim, n)]]


def graded(function: Any, tensors: list[Tensor]) -> list[Tensor]:
    """y, the last state, and the gradient of every operand."""
    y, last = function(*tensors)[:2]
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (x * torch.randn(x.shape, dtype=torch.double, generator=generator)).sum() for x in (y, last)
    )
    return [y.detach(), last.detach(), *torch.autograd.grad(torch.as_tensor(loss), tensors)]


def truth(*tensors: Any) -> tuple[Tensor, Tensor]:
    return selective_scan(reference, *tensors)


SIZES = [
    (1, 1, 1, 1),
    (2, 37, 5, 3),
    (1, 32, 64, 16),
    (3, 65, 70, 2),
    (1, 33, 130, 4),
    (1, 90, 3, 40),
]
"""Spans of 32 steps, 64 or 128 channels a block: less, exactly, more, a remainder."""


@pytest.mark.parametrize("size", SIZES)
def test_float64_is_the_recurrence_in_outputs_and_gradients(
    size: tuple[int, int, int, int],
) -> None:
    tensors = operands(*size)
    for mine, right in zip(graded(scan, tensors), graded(truth, tensors), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_float32_is_close_to_it(size: tuple[int, int, int, int]) -> None:
    tensors = operands(*size)
    single = [x.detach().float().requires_grad_() for x in tensors]
    for mine, right in zip(graded(scan, single), graded(truth, tensors), strict=True):
        assert mine.dtype == torch.float32
        scale = float(right.abs().max())
        torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-5 * scale)


def test_gradients_are_the_slopes_of_the_outputs() -> None:
    assert torch.autograd.gradcheck(lambda *x: scan(*x)[:2], operands(1, 4, 3, 2))


def test_torch_finds_nothing_wrong_with_the_operators() -> None:
    torch.library.opcheck(scan, tuple(operands(2, 37, 5, 3, torch.float32)))
    tensors = operands(1, 5, 3, 2, torch.float32)
    y, last, kept = scan(*tensors)
    inputs = (*tensors[:-1], kept, y, last)
    torch.library.opcheck(
        torch.ops.zoo.selective_scan_backward.default,
        tuple(x.detach() for x in inputs),
        test_utils=("test_schema", "test_faketensor"),
    )


def test_it_compiles_without_a_break() -> None:
    tensors = operands(1, 9, 4, 2, torch.float32)
    compiled = torch.compile(lambda *x: scan(*x)[:2], fullgraph=True, backend="aot_eager")
    for mine, right in zip(graded(compiled, tensors), graded(scan, tensors), strict=True):
        torch.testing.assert_close(mine, right)


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.ops.fused, "LITTLE", 0)
    tensors, found = operands(3, 40, 200, 4, torch.float32), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(graded(scan, tensors))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


def test_operands_may_lie_in_memory_as_they_like() -> None:
    tensors = operands(2, 11, 6, 3)
    wide = [torch.stack([x, x], -1)[..., 0].detach().requires_grad_() for x in tensors]
    assert not wide[0].is_contiguous()
    for mine, right in zip(graded(scan, wide), graded(scan, tensors), strict=True):
        assert torch.equal(mine, right)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_only_at_the_edges(dtype: torch.dtype) -> None:
    low = [x.detach().to(dtype) for x in operands(2, 50, 8, 4)]
    state = low[-1].float()
    y, last = numba(*[*low[:-1], state])
    right, right_last = numba(*[*(x.float() for x in low[:-1]), state])
    assert y.dtype == dtype
    assert last.dtype == torch.float32
    assert torch.equal(y, right.to(dtype))
    assert torch.equal(last, right_last)


@pytest.mark.parametrize("raw", [-1e4, -100.0, 1e4])
def test_extreme_steps_give_numbers(raw: float) -> None:
    """dt of exactly or nearly zero, and so large that nothing is remembered."""
    tensors = operands(1, 40, 3, 2, torch.float32)
    tensors[1] = torch.full_like(tensors[1], raw).requires_grad_()
    right = graded(truth, [x.detach().double().requires_grad_() for x in tensors])
    for mine, want in zip(graded(scan, tensors), right, strict=True):
        assert mine.isfinite().all()
        near = 1e-5 * float(want.abs().max()) + 1e-25  # the least power of two stands for nothing
        torch.testing.assert_close(mine.double(), want, rtol=1e-4, atol=near)


@pytest.mark.parametrize("operand", range(9))
def test_a_number_that_is_none_is_not_laundered(operand: int) -> None:
    tensors = [x.detach() for x in operands(1, 6, 3, 2, torch.float32)]
    tensors[operand].view(-1)[0] = torch.nan
    y, last, _ = scan(*tensors)
    assert y.isnan().any()
    assert last.isnan().any() == (operand not in (4, 5, 6))  # C, D and z come after the state


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("batch", "dim", "n"), [(1, 1, 1), (3, 130, 16), (2, 7, 5)])
def test_one_token_has_a_pass_of_its_own(dtype: Any, batch: int, dim: int, n: int) -> None:
    tensors = [x.detach().to(dtype) for x in operands(batch, 1, dim, n)]
    right, right_last = selective_scan(reference, *[x.double() for x in tensors])
    seen: list[Any] = []

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Watch():  # type: ignore[no-untyped-call]
        y, last = numba(*tensors)
    assert torch.ops.zoo.selective_scan_update.default in seen
    assert y.dtype == dtype
    near = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    torch.testing.assert_close(y.double(), right, rtol=near, atol=near)
    torch.testing.assert_close(last.double(), right_last, rtol=near, atol=min(near, 1e-5))
    y, _ = numba(*[x.requires_grad_() for x in tensors])
    assert y.requires_grad, "with gradients it is the scan"


def test_memory_beyond_inputs_is_a_part_of_an_input() -> None:
    for dim, n, length in [(256, 16, 1024), (64, 1, 100), (512, 64, 4096)]:
        lanes, blocks, span, spans = layout(dim, n, length)
        assert lanes * (blocks - 1) < dim <= lanes * blocks
        assert span * (spans - 1) < length <= span * spans
        assert n * spans <= length


def test_the_counter_sees_what_it_costs() -> None:
    tensors = operands(2, 37, 5, 3, torch.float32)
    with FlopCounterMode(display=False) as counter:
        y, _, _ = scan(*tensors)
    forward = counter.get_total_flops()
    assert forward == 2 * 37 * 5 * (7 * 3 + 12)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(y.sum())
    # by number: the state again 5, C h 2; for its adjoint six multiply-adds, two products
    assert counter.get_total_flops() == 2 * 37 * 5 * ((5 + 2 + 14) * 3 + 35)
