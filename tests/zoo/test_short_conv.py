"""The short convolution: every kernel against the sum as written."""

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.ops.short_conv_numba import conv

module: Any = importlib.import_module("zoo.ops.short_conv")
KERNELS = ["numba", "portable"]


def written(*operands: Any) -> Any:
    """y_t = bias + sum_i weight_i x_{t+i}, tap by tap."""
    padded, weight, bias, silu = operands
    length = padded.shape[1] - weight.shape[1] + 1
    taps = [padded[:, i : i + length] * weight[:, i] for i in range(weight.shape[1])]
    y = torch.stack(taps).sum(0)
    y = y if bias is None else y + bias
    return y * torch.sigmoid(y) if silu else y


def operands(b: int, l: int, d: int, w: int, dtype: torch.dtype = torch.float64) -> Any:  # noqa: E741
    torch.manual_seed(l)
    shapes = [(b, l + w - 1, d), (d, w), (d,)]
    return [torch.randn(*shape, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (2, 13, 5, 4), (3, 9, 130, 2), (1, 3, 128, 7)])
def test_outputs_and_gradients_are_the_sum(kernel: str, silu: bool, size: Any) -> None:
    found = []
    for function in (getattr(module, kernel), written):
        tensors = operands(*size)
        y = function(*tensors, silu)
        torch.manual_seed(5)
        found.append([y, *torch.autograd.grad((y * torch.randn(y.shape)).sum(), tensors)])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_a_bias(kernel: str) -> None:
    x, weight, _ = operands(2, 9, 6, 3)
    mine = getattr(module, kernel)(x, weight, None, True)
    torch.testing.assert_close(mine, written(x, weight, None, True))


@pytest.mark.parametrize("kernel", KERNELS)
def test_half_precision_keeps_its_dtype(kernel: str) -> None:
    tensors = [x.detach() for x in operands(2, 30, 16, 4, torch.float32)]
    y = getattr(module, kernel)(tensors[0].bfloat16(), *tensors[1:], True)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), written(*tensors, True), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_it_goes_on_from_its_window(width: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 11, 6), torch.randn(6, width), torch.randn(6)
    whole, last = zoo.ops.short_conv(x, weight, bias, silu=True)
    parts, window = [], None
    for piece in (x[:, :1], x[:, 1:2], x[:, 2:9], x[:, 9:]):
        y, window = zoo.ops.short_conv(piece, weight, bias, window, silu=True)
        assert window.shape == (2, width - 1, 6)
        assert window.untyped_storage().nbytes() == window.nbytes, "it holds on to more"
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(window, last)
    assert torch.equal(last, x[:, 12 - width :])


@pytest.mark.parametrize("kernel", ["auto", "torch"])
def test_a_wider_window_does_not_widen_what_comes(kernel: str) -> None:
    x, weight, window = torch.randn(2, 5, 6).bfloat16(), torch.randn(6, 4), torch.randn(2, 3, 6)
    y, after = zoo.ops.short_conv(x, weight, None, window, kernel=kernel)
    assert y.dtype == after.dtype == torch.bfloat16
    with pytest.raises(zoo.ZooError, match="numba, torch"):
        zoo.ops.short_conv(x, weight, kernel="cudnn")


def test_torch_finds_nothing_wrong_with_the_operators() -> None:
    tensors = operands(2, 9, 5, 3)
    torch.library.opcheck(conv, (*tensors, True))
    y = conv(*tensors, True)
    torch.library.opcheck(
        torch.ops.zoo.short_conv_backward.default,
        (*(x.detach() for x in tensors), True, y.detach()),
        test_utils=("test_schema", "test_faketensor"),
    )
    assert torch.autograd.gradcheck(lambda *x: conv(*x, True), tensors)


def test_the_counter_sees_it() -> None:
    tensors = operands(2, 9, 5, 3)
    with FlopCounterMode(display=False) as counter:
        y = conv(*tensors, True)
    assert counter.get_total_flops() == 2 * 9 * 5 * (2 * 3 + 4)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(y.sum())
    assert counter.get_total_flops() > 2 * 9 * 5 * 4 * 3


@pytest.mark.parametrize(
    ("width", "channels", "goes"), [(4, 8, True), (5, 8, False), (4, 6, False)]
)
def test_the_cuda_kernel_is_handed_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, width: int, channels: int, goes: bool
) -> None:
    calls = []

    def stand_in(x: Tensor, weight: Tensor, bias: Tensor, activation: str | None) -> Tensor:
        calls.append(activation)
        assert x.stride(1) == 1, "channels last in memory"
        padding = weight.shape[1] - 1
        y = F.conv1d(x, weight[:, None], bias, padding=padding, groups=len(weight))
        return F.silu(y[..., : x.shape[2]])

    package: Any = ModuleType("causal_conv1d")
    package.causal_conv1d_fn = stand_in
    monkeypatch.setitem(sys.modules, "causal_conv1d", package)
    tensors = operands(2, 9, channels, width)
    torch.testing.assert_close(module.causal_conv1d(*tensors, True), written(*tensors, True))
    assert calls == (["silu"] if goes else [])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_it_is_the_sum(dtype: torch.dtype) -> None:
    tensors = operands(2, 100, 64, 4)
    right = written(*tensors, True)
    here = [x.detach().to("cuda", dtype).requires_grad_() for x in tensors]
    y = module.short_conv(here[0][:, 3:], *here[1:], here[0][:, :3], silu=True)[0]
    near = 1e-4 if dtype == torch.float32 else 3e-2
    pairs = [(y, right)]
    mine = torch.autograd.grad(y.sum(), here)
    pairs += zip(mine, torch.autograd.grad(right.sum(), tensors), strict=True)
    for one, other in pairs:
        assert (one.double().cpu() - other).norm() <= near * other.norm()
