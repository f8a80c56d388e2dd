"""Long convolutions against the sum they stand for, in outputs and gradients."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import zoo
from zoo.ops.fft_conv import fast_size


def summed(u: Tensor, kernel: Tensor, reverse: Tensor | None = None) -> Tensor:
    """Token by token, tap by tap."""
    length = u.shape[1]
    y = []
    for t in range(length):
        now = torch.zeros_like(u[:, 0])
        for i in range(min(t + 1, kernel.shape[1])):
            now = now + kernel[:, i] * u[:, t - i]
        for i in range(0 if reverse is None else min(length - t - 1, reverse.shape[1])):
            now = now + reverse[:, i] * u[:, t + 1 + i]  # type: ignore[index]
        y.append(now)
    return torch.stack(y, 1)


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    torch.manual_seed(sum(shape))
    return torch.randn(shape, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("two_sided", [False, True], ids=["causal", "two-sided"])
@pytest.mark.parametrize(
    ("batch", "length", "taps"), [(1, 1, 1), (2, 13, 13), (3, 17, 5), (1, 6, 11), (2, 2, 2)]
)
def test_it_is_the_sum(batch: int, length: int, taps: int, two_sided: bool) -> None:
    operands = [draw(batch, length, 7), draw(7, taps)] + [draw(7, taps + 1)] * two_sided
    mine, right = zoo.ops.fft_conv(*operands), summed(*operands)
    torch.testing.assert_close(mine, right)
    weight = torch.randn_like(right)
    found = torch.autograd.grad(mine, operands, weight)
    truth = torch.autograd.grad(right, operands, weight, materialize_grads=True)
    torch.testing.assert_close(found, truth)


def test_gradcheck() -> None:
    assert gradcheck(zoo.ops.fft_conv, (draw(2, 5, 2), draw(2, 5), draw(2, 5)))


def test_many_blocks_of_channels_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    operands = [draw(2, 9, 11), draw(11, 9), draw(11, 9)]
    whole = zoo.ops.fft_conv(*operands)
    grads = torch.autograd.grad(whole.square().sum(), operands)
    monkeypatch.setattr(sys.modules["zoo.ops.fft_conv"], "CACHED", 1)  # four at a time
    parts = zoo.ops.fft_conv(*operands)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), operands), grads)


def test_low_precision_is_rounded_only_at_the_edges() -> None:
    u, kernel = draw(2, 40, 8, dtype=torch.bfloat16), draw(8, 40, dtype=torch.float32)
    y = zoo.ops.fft_conv(u, kernel)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, zoo.ops.fft_conv(u.float(), kernel).bfloat16())
    du, dk = torch.autograd.grad(y, (u, kernel), torch.ones_like(y))
    assert (du.dtype, dk.dtype) == (torch.bfloat16, torch.float32)
    x = u.detach().float()
    with torch.autocast("cpu", torch.bfloat16):
        cast = zoo.ops.fft_conv(x, kernel)
    assert torch.equal(cast, zoo.ops.fft_conv(x, kernel))


def test_the_future_does_not_leak_through_the_transform() -> None:
    u, kernel = draw(1, 300, 3), draw(3, 300)
    y = zoo.ops.fft_conv(u, kernel)
    (grad,) = torch.autograd.grad(y[0, 100].sum(), u)
    assert grad[0, 101:].abs().max() < 1e-14 < grad[0, :101].abs().min()


def test_it_compiles_whole() -> None:
    operands = [draw(2, 12, 5), draw(5, 12), draw(5, 12)]
    right = torch.autograd.grad(zoo.ops.fft_conv(*operands).sum(), operands)
    compiled = torch.compile(zoo.ops.fft_conv, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(compiled(*operands).sum(), operands), right)


def test_sizes_are_fast_and_not_wasteful() -> None:
    for least in range(2, 3000):
        size = fast_size(least)
        odd = size // (size & -size)
        assert size >= least
        assert size % 2 == 0
        assert odd in (1, 3, 5, 9, 27)
        assert size <= least * 1.26 + 2, "the next octave was taken too early"
    assert fast_size(2 * 1024 - 1) == 2048


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 5, 0)], ids=str)
def test_nothing_to_convolve_has_gradients_of_zero(shape: tuple[int, int, int]) -> None:
    operands = [draw(*shape), draw(shape[2], 5), draw(shape[2], 4)]
    y = zoo.ops.fft_conv(*operands)
    assert y.shape == shape
    for grad, x in zip(torch.autograd.grad(y.sum(), operands), operands, strict=True):
        assert grad.shape == x.shape
        assert not grad.any()


@pytest.mark.parametrize(("kernel", "reverse"), [((1, 5), None), ((4, 5), None), ((3, 5), (1, 4))])
def test_taps_of_other_channels_are_refused(kernel: Any, reverse: Any) -> None:
    more = () if reverse is None else (torch.ones(reverse),)
    with pytest.raises(zoo.ZooError, match=r"wants u \(b, l, d\).*not \[\(2, 5, 3\)"):
        zoo.ops.fft_conv(torch.ones(2, 5, 3), torch.ones(kernel), *more)
