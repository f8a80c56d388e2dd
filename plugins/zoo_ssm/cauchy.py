"""Sums over conjugate pairs of poles at many points, with bounded memory and closed-form gradients.

Everything is real: g = g_re + i g_im are the points, mu the poles, and a pair with weight w adds

    w / (g - mu) + conj(w) / (g - conj(mu)) = (a g + b) / ((g - mu) (g - conj(mu)))

with a = 2 Re w and b = -2 Re(w conj(mu)). The quotient q = 1 / (..) is the same for every w, so
that all sums are one real matrix product a block.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Complex
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED = 2**17
"""Quotients a block may hold: with what they are made from they fit a usual CPU's cache."""
POINTS = 1024


def pole_sums(
    weight: Complex[Tensor, "d m n"], pole: Complex[Tensor, "d n"], points: Complex[Tensor, " f"]
) -> Complex[Tensor, "d m f"]:
    """sum_n w_n / (g - mu_n) + conj(w_n) / (g - conj(mu_n)); first derivatives in w and mu only.

    Never holds (d, n, f) at once, also not for the backward pass.
    """
    sums = PoleSums.apply(*real_parts(weight, pole, points))  # type: ignore[no-untyped-call]
    return torch.complex(*sums)


def real_parts(weight: Tensor, pole: Tensor, points: Tensor) -> tuple[Tensor, ...]:
    """[a; b] (d, 2m, n), mu (d, n) and g (f), as real and imaginary parts where complex."""
    a, b = 2 * weight.real, -2 * (weight * pole.conj()[:, None]).real
    return torch.cat([a, b], 1), pole.real, pole.imag, points.real, points.imag


class PoleSums(torch.autograd.Function):
    """The same in real numbers: [a; b] (d, 2m, n), mu (d, n), g (f) -> real and imaginary parts."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns two of (d, m, f)."""
        ctx.save_for_backward(*inputs)
        ab, mu_re, mu_im, g_re, g_im = inputs
        m = ab.shape[1] // 2
        real = ab.new_empty(len(ab), m, len(g_re))
        imag = torch.empty_like(real)
        for d, f in blocks(ab, g_re):
            q_re, q_im = quotients(mu_re[d], mu_im[d], g_re[f], g_im[f])
            u_re, v_re = torch.bmm(ab[d], q_re).chunk(2, 1)
            u_im, v_im = torch.bmm(ab[d], q_im).chunk(2, 1)
            real[d, :, f] = g_re[f] * u_re - g_im[f] * u_im + v_re
            imag[d, :, f] = g_re[f] * u_im + g_im[f] * u_re + v_im
        return real, imag

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_real: Tensor, d_imag: Tensor) -> tuple[Tensor | None, ...]:
        """Recomputes the quotients, block by block."""
        ab, mu_re, mu_im, g_re, g_im = ctx.saved_tensors
        d_ab, d_mu_re, d_mu_im = map(torch.zeros_like, (ab, mu_re, mu_im))
        for d, f in blocks(ab, g_re):
            q_re, q_im = quotients(mu_re[d], mu_im[d], g_re[f], g_im[f])
            re, im = d_real[d, :, f], d_imag[d, :, f]
            d_re = torch.cat([g_re[f] * re + g_im[f] * im, re], 1)  # of [U; V], (d, 2m, f)
            d_im = torch.cat([g_re[f] * im - g_im[f] * re, im], 1)
            d_ab[d] += torch.bmm(d_re, q_re.mT) + torch.bmm(d_im, q_im.mT)
            # gradient of the denominator: that of q times conj(-q^2)
            dq_re, dq_im = torch.bmm(ab[d].mT, d_re), torch.bmm(ab[d].mT, d_im)
            square_re, square_im = q_im * q_im - q_re * q_re, 2 * q_re * q_im  # conj(-q^2)
            den_re = square_re * dq_re - square_im * dq_im
            den_im = square_re * dq_im + square_im * dq_re
            x = g_re[f] - mu_re[d][..., None]
            d_mu_re[d] -= 2 * (den_re * x + den_im * g_im[f]).sum(-1)
            d_mu_im[d] += 2 * mu_im[d] * den_re.sum(-1)
        return d_ab, d_mu_re, d_mu_im, None, None


def quotients(mu_re: Tensor, mu_im: Tensor, g_re: Tensor, g_im: Tensor) -> tuple[Tensor, Tensor]:
    """1 / ((g - mu) (g - conj(mu))), (d, n, f): differences first, which cancel nothing."""
    x = g_re - mu_re[..., None]
    re = x * x - (g_im - mu_im[..., None]) * (g_im + mu_im[..., None])
    im = 2 * x * g_im
    norm = re * re + im * im
    return re / norm, -im / norm


def blocks(ab: Tensor, g: Tensor) -> Iterator[tuple[slice, slice]]:
    """Some channels at some points; more of them on a GPU, which would wait for small ones."""
    numbers = 64 * CACHED if ab.is_cuda else CACHED
    points = min(len(g), POINTS)
    width = max(1, numbers // (ab.shape[2] * points))
    for channel in range(0, len(ab), width):
        for point in range(0, len(g), points):
            yield slice(channel, channel + width), slice(point, point + points)
