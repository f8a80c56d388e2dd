"""The gated norm against the paper's words, and its compiled operator as torch sees it."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm import gated_norm_numba
from zoo_ssm.gated_norm import KERNELS, GatedNorm

RUNS = [pytest.param(kernel.run, id=kernel.name) for kernel in KERNELS]
EACH = pytest.mark.parametrize("run", RUNS)
BEFORE = pytest.mark.parametrize("before", [False, True])


def draw(batch: int, length: int, dim: int, dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(0)
    shapes = [(batch, length, dim), (batch, length, dim), (dim,)]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def written_out(y: Tensor, z: Tensor, weight: Tensor, groups: int, before: bool) -> Tensor:
    gate = z / (1 + torch.exp(-z))
    inside = y if before else y * gate
    width = y.shape[-1] // groups
    square = torch.stack([each.square().mean(-1) for each in inside.split(width, -1)], -1)  # type: ignore[no-untyped-call]
    right = inside / torch.sqrt(square + 1e-5).repeat_interleave(width, -1) * weight
    return right * gate if before else right


@EACH
@BEFORE
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("batch", "length", "groups"), [(1, 1, 1), (3, 43, 2), (1, 64, 3)])
def test_outputs_and_gradients_are_the_papers(
    run: Any, before: bool, dtype: torch.dtype, batch: int, length: int, groups: int
) -> None:
    tensors = draw(batch, length, 18, dtype)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    mine, right = (
        run(*tensors, groups, before),
        written_out(exact[0], exact[1], exact[2], groups, before),
    )
    near = 1e-10 if dtype == torch.float64 else 2e-5
    weights = torch.randn(right.shape, dtype=torch.float64)
    grads = torch.autograd.grad(mine, tensors, weights.to(dtype))
    for one, other in zip(
        [mine, *grads], [right, *torch.autograd.grad(right, exact, weights)], strict=True
    ):
        assert one.dtype == dtype
        assert (one - other).norm() < near * other.norm()


@EACH
@BEFORE
def test_gradcheck(run: Any, before: bool) -> None:
    assert gradcheck(lambda *tensors: run(*tensors, 2, before), draw(1, 3, 4))


@EACH
def test_large_and_zero_inputs_stay_finite(run: Any) -> None:
    y, z, weight = draw(1, 4, 8, torch.float32)
    with torch.no_grad():
        y[:, 1], z[:, 2], z[:, 3] = 0, -1e4, 1e4
    out = run(y, z, weight, 1, False)
    grads = torch.autograd.grad(out.sum(), [y, z, weight])
    assert all(tensor.isfinite().all() for tensor in (out, *grads))
    assert not out[:, 1].any()


@BEFORE
def test_the_module_takes_the_compiled_way_when_it_pays(before: bool) -> None:
    norm = GatedNorm(64, groups=4, norm_before_gate=before)
    y, z, _ = draw(2, 150, 64, torch.float32)
    whole = norm(y, z)
    torch.testing.assert_close(whole[:, :3], norm(y[:, :3], z[:, :3]))
    assert [KERNELS[0].reason(each) is None for each in (y, y[:, :3])] == [True, False]
    narrow = norm(y.bfloat16(), z.bfloat16())
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), whole, rtol=5e-2, atol=5e-2)


def test_another_device_has_the_portable_way() -> None:
    y = torch.empty(2, 150, 64, device="meta")
    assert "CPU" in str(KERNELS[0].reason(y))
    assert GatedNorm(64).to("meta")(y, y).shape == y.shape


def test_it_is_a_proper_operator() -> None:
    y, z, weight = draw(1, 5, 6, torch.float32)
    inputs = (y.detach()[0].requires_grad_(), z.detach()[0].requires_grad_(), weight, 2, 1e-5)
    torch.library.opcheck(gated_norm_numba.gated_norm, (*inputs, False))
    with FlopCounterMode(display=False) as counter:
        out = gated_norm_numba.gated_norm(*inputs, True)
        torch.autograd.backward(out.sum())
    assert counter.get_total_flops() == 36 * 5 * 6


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.ops.fused, "LITTLE", 0)
    tensors, threads = draw(2, 1000, 16, torch.float32), torch.get_num_threads()
    run, found = partial(KERNELS[0].run, groups=2, norm_before_gate=False), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            out = run(*tensors)
            found.append([out, *torch.autograd.grad(out.square().sum(), tensors)])
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))
