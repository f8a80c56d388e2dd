"""The short convolution with its bias and SiLU as one compiled pass on a CPU, and its adjoint.

A task is a row of the batch and a block of channels; time passes within it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from zoo.ops.fused import arrays, jit, share
from zoo.ops.vector_math import sigmoid


@lru_cache
def kernels(lanes: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Forward and backward for blocks of so many channels; loops of known length are vectorised.

    The last few inputs, and the gradients of them that are not complete, go round in rings.
    """

    @jit
    def forward(padded, weight, bias, silu, y, start, stop):  # type: ignore[no-untyped-def]
        """weight comes as (w, d)."""
        _, length, dim = y.shape
        blocks, width = (dim + lanes - 1) // lanes, len(weight)
        taps, ring = np.zeros((width, lanes), y.dtype), np.zeros((width, lanes), y.dtype)
        start_, out = np.zeros(lanes, y.dtype), np.zeros(lanes, y.dtype)
        for task in range(start, stop):
            row, at = task // blocks, task % blocks * lanes
            w = min(lanes, dim - at)
            taps[:, :w], start_[:w] = weight[:, at : at + w], bias[at : at + w]
            ring[: width - 1, :w] = padded[row, : width - 1, at : at + w]
            for t in range(length):
                ring[(t + width - 1) % width, :w] = padded[row, t + width - 1, at : at + w]
                for k in range(lanes):
                    out[k] = start_[k]
                for i in range(width):
                    tap, x = taps[i], ring[(t + i) % width]
                    for k in range(lanes):
                        out[k] += tap[k] * x[k]
                if silu:
                    for k in range(lanes):
                        out[k] *= sigmoid(out[k])
                y[row, t, at : at + w] = out[:w]

    @jit
    def backward(padded, weight, bias, silu, dy, dx, dweight, dbias, start, stop):  # type: ignore[no-untyped-def]
        """dweight (rows, w, d) and dbias (rows, d) by row."""
        _, length, dim = dy.shape
        blocks, width = (dim + lanes - 1) // lanes, len(weight)
        zero, one = dy.dtype.type(0), dy.dtype.type(1)
        taps, ring = np.zeros((width, lanes), dy.dtype), np.zeros((width, lanes), dy.dtype)
        start_, inner, g = (
            np.zeros(lanes, dy.dtype),
            np.zeros(lanes, dy.dtype),
            np.zeros(lanes, dy.dtype),
        )
        to_x, to_taps = np.zeros((width, lanes), dy.dtype), np.zeros((width, lanes), dy.dtype)
        to_bias = np.zeros(lanes, dy.dtype)
        for task in range(start, stop):
            row, at = task // blocks, task % blocks * lanes
            w = min(lanes, dim - at)
            taps[:, :w], start_[:w] = weight[:, at : at + w], bias[at : at + w]
            ring[: width - 1, :w] = padded[row, : width - 1, at : at + w]
            g[:], to_x[:], to_taps[:], to_bias[:] = zero, zero, zero, zero
            for t in range(length):
                ring[(t + width - 1) % width, :w] = padded[row, t + width - 1, at : at + w]
                g[:w] = dy[row, t, at : at + w]
                if silu:
                    for k in range(lanes):
                        inner[k] = start_[k]
                    for i in range(width):
                        tap, x = taps[i], ring[(t + i) % width]
                        for k in range(lanes):
                            inner[k] += tap[k] * x[k]
                    for k in range(lanes):
                        s = sigmoid(inner[k])
                        g[k] *= s * (one + inner[k] * (one - s))
                for i in range(width):
                    tap, x = taps[i], ring[(t + i) % width]
                    add, weigh = to_x[(t + i) % width], to_taps[i]
                    for k in range(lanes):
                        add[k] += tap[k] * g[k]
                    for k in range(lanes):
                        weigh[k] += x[k] * g[k]
                for k in range(lanes):
                    to_bias[k] += g[k]
                done = to_x[t % width]
                dx[row, t, at : at + w] = done[:w]
                done[:] = zero
            for t in range(length, length + width - 1):
                dx[row, t, at : at + w] = to_x[t % width, :w]
            dweight[row, :, at : at + w], dbias[row, at : at + w] = to_taps[:, :w], to_bias[:w]

    return forward, backward


def lanes(dim: int) -> int:
    """Channels in a block."""
    return 64 if dim <= 64 else 128


def tasks(x: Tensor) -> int:
    """Rows times blocks of channels."""
    return len(x) * -(-x.shape[2] // lanes(x.shape[2]))


@torch.library.custom_op("zoo::short_conv", mutates_args=(), device_types="cpu")
def conv(padded: Tensor, weight: Tensor, bias: Tensor, silu: bool) -> Tensor:
    """(b, l + w - 1, d), (d, w), (d,) -> (b, l, d), all of one dtype."""
    batch, padded_length, dim = padded.shape
    y = padded.new_empty(batch, padded_length - weight.shape[1] + 1, dim)
    forward, inputs = kernels(lanes(dim))[0], arrays(padded, weight.t(), bias)
    share(forward, tasks(y), *inputs, silu, *arrays(y))
    return y


@conv.register_fake
def _(padded: Tensor, weight: Tensor, bias: Tensor, silu: bool) -> Tensor:
    batch, padded_length, dim = padded.shape
    return padded.new_empty(batch, padded_length - weight.shape[1] + 1, dim)


@torch.library.custom_op("zoo::short_conv_backward", mutates_args=(), device_types="cpu")
def adjoint(
    padded: Tensor, weight: Tensor, bias: Tensor, silu: bool, dy: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of padded, weight and bias."""
    dx = torch.empty_like(padded, memory_format=torch.contiguous_format)
    dweight = padded.new_empty(len(padded), *weight.t().shape)
    dbias = padded.new_empty(len(padded), *bias.shape)
    inputs, outputs = arrays(padded, weight.t(), bias), arrays(dy, dx, dweight, dbias)
    share(kernels(lanes(dy.shape[2]))[1], tasks(dy), *inputs, silu, *outputs)
    return dx, dweight.sum(0).t().contiguous(), dbias.sum(0)


@adjoint.register_fake
def _(
    padded: Tensor, weight: Tensor, bias: Tensor, silu: bool, dy: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dx, dweight, dbias = (x.new_empty(x.shape) for x in (padded, weight, bias))
    return dx, dweight, dbias


def remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep what the adjoint needs."""
    *tensors, ctx.silu = inputs
    ctx.save_for_backward(*tensors)


def gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Of the four arguments; none for the flag."""
    return (*adjoint(*ctx.saved_tensors, ctx.silu, dy), None)


conv.register_autograd(gradients, setup_context=remember)


@register_flop_formula(torch.ops.zoo.short_conv)
def forward_flops(padded: Any, weight: Any, bias: Any, silu: bool, *_: Any, **shape: Any) -> int:
    """A multiply-add a tap, 4 for the SiLU (an exponential being one)."""
    outputs: int = padded[0] * (padded[1] - weight[1] + 1) * padded[2]
    return outputs * (2 * int(weight[1]) + 4 * silu)


@register_flop_formula(torch.ops.zoo.short_conv_backward)
def backward_flops(padded: Any, weight: Any, bias: Any, silu: bool, *_: Any, **shape: Any) -> int:
    """Two multiply-adds a tap, the forward pass again, the SiLU's slope and the bias."""
    outputs: int = padded[0] * (padded[1] - weight[1] + 1) * padded[2]
    width = int(weight[1])
    return outputs * (4 * width + 1 + silu * (2 * width + 8))
