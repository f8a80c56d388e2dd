"""A depthwise convolution as long as the sequence, by the fast Fourier transform.

Some channels at a time: their spectra stay in the cache, which on a CPU is twice as fast as all
channels at once, and memory beyond the output does not grow with the width. Measured, too:
transforms along the last axis beat those along the middle one although they cost two transposes.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo.errors import ZooError

CACHED = 2**18
"""Numbers whose spectrum, product and inverse fit a usual CPU's cache together."""
STEPS = (16, 18, 20, 24, 27)
"""Sizes tried in each octave, in sixteenths: what lies between them is slower than the next."""


def fft_conv(
    u: Float[Tensor, "b l d"],
    kernel: Float[Tensor, "d w"],
    reverse: Float[Tensor, "d v"] | None = None,
) -> Float[Tensor, "b l d"]:
    """y_t = sum_i kernel_i u_{t-i} + sum_i reverse_i u_{t+1+i}, every channel by itself.

    Causal without ``reverse``, whose first tap weighs the next token, as in the two-sided S4 of Gu
    et al. Taps beyond the sequence are ignored. Computed in float32 at least, whatever autocast
    says; y has the dtype of u. First derivatives only, in all three. Raises ZooError for
    shapes that do not fit.
    """
    if len(kernel) != u.shape[2] or (reverse is not None and len(reverse) != u.shape[2]):
        found = [tuple(x.shape) for x in (u, kernel, reverse) if x is not None]
        raise ZooError(f"fft_conv wants u (b, l, d), kernel (d, w) and reverse (d, v), not {found}")
    length = u.shape[1]
    kernel = kernel[:, :length]
    reverse = kernel[:, :0] if reverse is None else reverse[:, : length - 1]
    y: Tensor = LongConvolution.apply(u, kernel, reverse)  # type: ignore[no-untyped-call]
    return y


class LongConvolution(torch.autograd.Function):
    """Saves its inputs and no spectrum; the gradients are two correlations."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor, reverse: Tensor) -> Tensor:
        """u (b l d), kernel (d w), reverse (d v) -> y (b l d)."""
        ctx.save_for_backward(u, kernel, reverse)
        size = fft_size(u, kernel, reverse)
        y = torch.empty_like(u, memory_format=torch.contiguous_format)
        for some in blocks(u, size):
            spectrum = along(u[..., some], size).mul_(both(kernel[some], reverse[some], size))
            y[..., some] = across(spectrum, size, u.shape[1])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of u, by the same taps turned round, and of the taps, summed over the batch."""
        u, kernel, reverse = ctx.saved_tensors
        size, (right, left) = fft_size(u, kernel, reverse), (kernel.shape[1], reverse.shape[1])
        du = torch.empty_like(u, memory_format=torch.contiguous_format)
        d_kernel, d_reverse = torch.zeros_like(kernel), torch.zeros_like(reverse)
        for some in blocks(u, size):
            spectrum = along(dy[..., some], size)
            taps = along(u[..., some], size).conj_physical_().mul_(spectrum).sum(0)
            both_ways = torch.fft.irfft(taps, n=size)
            d_kernel[some] = both_ways[:, :right]
            d_reverse[some] = both_ways[:, size - left :].flip(-1)
            spectrum.mul_(both(kernel[some], reverse[some], size).conj())
            du[..., some] = across(spectrum, size, u.shape[1])
        return du, d_kernel, d_reverse


def along(u: Tensor, size: int) -> Tensor:
    """(b, l, d) to its spectrum (b, d, size // 2 + 1), zeros behind it."""
    padded = torch.zeros(u.shape[0], u.shape[2], size, dtype=wide(u), device=u.device)
    padded[..., : u.shape[1]] = u.transpose(1, 2)
    spectrum: Tensor = torch.fft.rfft(padded)
    return spectrum


def across(spectrum: Tensor, size: int, length: int) -> Tensor:
    """Back from ``along``: (b, d, size // 2 + 1) to (b, l, d)."""
    y: Tensor = torch.fft.irfft(spectrum, n=size)[..., :length]
    return y.transpose(1, 2)


def both(kernel: Tensor, reverse: Tensor, size: int) -> Tensor:
    """The spectrum (d, size // 2 + 1) of the taps, those of the reverse wrapped round the end."""
    taps = torch.zeros(len(kernel), size, dtype=wide(kernel), device=kernel.device)
    taps[:, : kernel.shape[1]] = kernel
    taps[:, size - reverse.shape[1] :] = reverse.flip(-1)
    spectrum: Tensor = torch.fft.rfft(taps)
    return spectrum


def blocks(u: Tensor, size: int) -> Iterator[slice]:
    """Channels to do together; all of them on a GPU, which has no such cache."""
    if not u.numel():
        return iter(())  # of no rows or no tokens there is no transform
    width = u.shape[2] if u.is_cuda else max(4, CACHED // max(1, len(u) * size))
    return (slice(first, first + width) for first in range(0, u.shape[2], width))


def wide(x: Tensor) -> torch.dtype:
    """Float32, or what x has if that is more."""
    return torch.promote_types(x.dtype, torch.float32)


def fft_size(u: Tensor, kernel: Tensor, reverse: Tensor) -> int:
    """Long enough that nothing which wraps round is seen."""
    return fast_size(u.shape[1] + max(kernel.shape[1] - 1, reverse.shape[1]))


def fast_size(least: int) -> int:
    """The smallest size of at least ``least`` that is even and transformed fast."""
    octave = 2
    while 2 * octave <= least:
        octave *= 2
    tried = [octave * step // 16 for step in (*STEPS, 32) if octave * step % 32 == 0]
    return min(size for size in tried if size >= least)
