"""The pole sums of S4 as one compiled pass on a CPU, and their adjoint: no quotient is written.

A task is a channel. Points go by in blocks of a fixed number: loops of known length, on slices
taken before them, are what vector units take. Only g is padded for that.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Complex
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo_ssm.cauchy import real_parts

LANES = 64
"""Points in a block: the sums of all weights over it stay in the nearest cache."""


@zoo.ops.fused.jit
def forward(ab, mu_re, mu_im, g_re, g_im, real, imag, start, stop):  # type: ignore[no-untyped-def]
    """ab comes as (d, n, 2m), g in whole blocks; real and imag are (d, m, f)."""
    n_, m = ab.shape[1], ab.shape[2] // 2
    q_re, q_im = np.zeros(LANES), np.zeros(LANES)
    sum_re, sum_im = np.zeros((2 * m, LANES)), np.zeros((2 * m, LANES))
    for d in range(start, stop):
        for at in range(0, len(g_re), LANES):
            x_, y_ = g_re[at : at + LANES], g_im[at : at + LANES]
            sum_re[:], sum_im[:] = 0.0, 0.0
            for n in range(n_):
                quotients(x_, y_, mu_re[d, n], mu_im[d, n], q_re, q_im)
                for k in range(2 * m):
                    weight, re, im = ab[d, n, k], sum_re[k], sum_im[k]
                    for i in range(LANES):
                        re[i] += weight * q_re[i]
                        im[i] += weight * q_im[i]
            for k in range(m):
                u_re, u_im, v_re, v_im = sum_re[k], sum_im[k], sum_re[m + k], sum_im[m + k]
                re, im = real[d, k, at : at + LANES], imag[d, k, at : at + LANES]
                for i in range(len(re)):
                    re[i] = x_[i] * u_re[i] - y_[i] * u_im[i] + v_re[i]
                    im[i] = x_[i] * u_im[i] + y_[i] * u_re[i] + v_im[i]


@zoo.ops.fused.jit
def backward(  # type: ignore[no-untyped-def]
    ab, mu_re, mu_im, g_re, g_im, d_real, d_imag, d_ab, d_mu_re, d_mu_im, start, stop
):
    """The last three come as zeros, d_ab as ab."""
    n_, m = ab.shape[1], ab.shape[2] // 2
    q_re, q_im = np.zeros(LANES), np.zeros(LANES)
    dq_re, dq_im = np.zeros(LANES), np.zeros(LANES)
    du_re, du_im = np.zeros((2 * m, LANES)), np.zeros((2 * m, LANES))
    for d in range(start, stop):
        for at in range(0, len(g_re), LANES):
            x_, y_ = g_re[at : at + LANES], g_im[at : at + LANES]
            for k in range(m):
                re, im = d_real[d, k, at : at + LANES], d_imag[d, k, at : at + LANES]
                du_re[k], du_im[k], du_re[m + k], du_im[m + k] = 0.0, 0.0, 0.0, 0.0
                for i in range(len(re)):
                    du_re[k, i] = x_[i] * re[i] + y_[i] * im[i]
                    du_im[k, i] = x_[i] * im[i] - y_[i] * re[i]
                    du_re[m + k, i], du_im[m + k, i] = re[i], im[i]
            for n in range(n_):
                pole_re, pole_im = mu_re[d, n], mu_im[d, n]
                quotients(x_, y_, pole_re, pole_im, q_re, q_im)
                dq_re[:], dq_im[:] = 0.0, 0.0
                for k in range(2 * m):
                    weight, re, im, total = ab[d, n, k], du_re[k], du_im[k], 0.0
                    for i in range(LANES):
                        total += re[i] * q_re[i] + im[i] * q_im[i]
                        dq_re[i] += weight * re[i]
                        dq_im[i] += weight * im[i]
                    d_ab[d, n, k] += total
                first, second = 0.0, 0.0
                for i in range(LANES):  # the denominator's gradient: that of q times conj(-q^2)
                    square_re = q_im[i] * q_im[i] - q_re[i] * q_re[i]
                    square_im = 2.0 * q_re[i] * q_im[i]
                    den_re = square_re * dq_re[i] - square_im * dq_im[i]
                    den_im = square_re * dq_im[i] + square_im * dq_re[i]
                    first += den_re * (x_[i] - pole_re) + den_im * y_[i]
                    second += den_re
                d_mu_re[d, n] -= 2.0 * first
                d_mu_im[d, n] += 2.0 * pole_im * second


@zoo.ops.fused.jit
def quotients(x_, y_, pole_re, pole_im, q_re, q_im):  # type: ignore[no-untyped-def]
    """As in ``zoo_ssm.cauchy``."""
    for i in range(LANES):
        x = x_[i] - pole_re
        re = x * x - (y_[i] - pole_im) * (y_[i] + pole_im)
        im = 2.0 * x * y_[i]
        inverse = 1.0 / (re * re + im * im)
        q_re[i], q_im[i] = re * inverse, -im * inverse


def pole_sums(
    weight: Complex[Tensor, "d m n"], pole: Complex[Tensor, "d n"], points: Complex[Tensor, " f"]
) -> Complex[Tensor, "d m f"]:
    """What ``zoo_ssm.cauchy.pole_sums`` computes."""
    return torch.complex(*sums(*real_parts(weight, pole, points)))


def prepared(ab: Tensor, mu_re: Tensor, mu_im: Tensor, g_re: Tensor, g_im: Tensor) -> Any:
    """As arrays; the points behind the last are 1, which is right of all poles."""
    missing = -len(g_re) % LANES
    padded = (F.pad(g, (0, missing), value=1.0) for g in (g_re, g_im))
    return zoo.ops.fused.arrays(ab.mT, mu_re, mu_im, *padded)


@torch.library.custom_op("zoo::pole_sums", mutates_args=(), device_types="cpu")
def sums(
    ab: Tensor, mu_re: Tensor, mu_im: Tensor, g_re: Tensor, g_im: Tensor
) -> tuple[Tensor, Tensor]:
    """[a; b] (d, 2m, n), mu (d, n), g (f), all float64 -> both parts (d, m, f)."""
    real = ab.new_empty(len(ab), ab.shape[1] // 2, len(g_re))
    imag = torch.empty_like(real)
    inputs, outputs = prepared(ab, mu_re, mu_im, g_re, g_im), zoo.ops.fused.arrays(real, imag)
    zoo.ops.fused.share(forward, len(ab), *inputs, *outputs)
    return real, imag


@sums.register_fake
def _(
    ab: Tensor, mu_re: Tensor, mu_im: Tensor, g_re: Tensor, g_im: Tensor
) -> tuple[Tensor, Tensor]:
    shape = (len(ab), ab.shape[1] // 2, len(g_re))
    return ab.new_empty(shape), ab.new_empty(shape)


@torch.library.custom_op("zoo::pole_sums_backward", mutates_args=(), device_types="cpu")
def adjoint(
    ab: Tensor,
    mu_re: Tensor,
    mu_im: Tensor,
    g_re: Tensor,
    g_im: Tensor,
    d_real: Tensor,
    d_imag: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the weights and the poles."""
    d_ab = ab.new_zeros(ab.mT.shape)
    d_mu_re, d_mu_im = (ab.new_zeros(mu_re.shape) for _ in range(2))
    inputs = prepared(ab, mu_re, mu_im, g_re, g_im)
    more = zoo.ops.fused.arrays(d_real, d_imag, d_ab, d_mu_re, d_mu_im)
    zoo.ops.fused.share(backward, len(ab), *inputs, *more)
    return d_ab.mT.contiguous(), d_mu_re, d_mu_im


@adjoint.register_fake
def _(
    ab: Tensor,
    mu_re: Tensor,
    mu_im: Tensor,
    g_re: Tensor,
    g_im: Tensor,
    d_real: Tensor,
    d_imag: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    d_ab, d_mu_re, d_mu_im = (x.new_empty(x.shape) for x in (ab, mu_re, mu_im))
    return d_ab, d_mu_re, d_mu_im


def remember(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    """Keep what the adjoint needs."""
    ctx.save_for_backward(*inputs)


def gradients(ctx: Any, d_real: Tensor, d_imag: Tensor) -> tuple[Tensor | None, ...]:
    """None for the points."""
    return (*adjoint(*ctx.saved_tensors, d_real, d_imag), None, None)


sums.register_autograd(gradients, setup_context=remember)


@register_flop_formula(torch.ops.zoo.pole_sums)
def forward_flops(ab: Any, mu: Any, _: Any, g: Any, *more: Any, **shape: Any) -> int:
    """14 a quotient, two multiply-adds of it for each weight; 8 a sum to join."""
    return int(ab[0] * g[0] * (ab[2] * (14 + 4 * ab[1]) + 4 * ab[1]))


@register_flop_formula(torch.ops.zoo.pole_sums_backward)
def backward_flops(ab: Any, mu: Any, _: Any, g: Any, *more: Any, **shape: Any) -> int:
    """14 a quotient and 17 for its pole, four multiply-adds for each weight; 6 a sum to part."""
    return int(ab[0] * g[0] * (ab[2] * (31 + 8 * ab[1]) + 3 * ab[1]))
