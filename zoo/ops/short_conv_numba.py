"""The short convolution with its bias and SiLU as one compiled pass on a CPU, and its adjoint.

A task is a row of the batch and a block of channels; time passes within it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from zoo.ops.fused import arrays, jit, share
from zoo.ops.vector_math import sigmoid

LANES = 128
"""Channels in a block: wide enough for vector units, few enough for the nearest cache."""


@jit
def forward(padded, weight, bias, silu, y, start, stop):  # type: ignore[no-untyped-def]
    """weight comes as (w, d)."""
    _, length, dim = y.shape
    blocks, width = (dim + LANES - 1) // LANES, len(weight)
    for task in range(start, stop):
        row, at = task // blocks, task % blocks * LANES
        w = min(LANES, dim - at)
        bias_ = bias[at : at + w]
        for t in range(length):
            y_t = y[row, t, at : at + w]
            y_t[:] = bias_
            for i in range(width):
                x_t, weight_i = padded[row, t + i, at : at + w], weight[i, at : at + w]
                for k in range(w):
                    y_t[k] += weight_i[k] * x_t[k]
            if silu:
                for k in range(w):
                    y_t[k] *= sigmoid(y_t[k])


@jit
def backward(padded, weight, bias, silu, dy, dx, dweight, dbias, start, stop):  # type: ignore[no-untyped-def]
    """dx, dweight and dbias come as zeros; dweight (rows, w, d) and dbias (rows, d) by row."""
    _, length, dim = dy.shape
    blocks, width = (dim + LANES - 1) // LANES, len(weight)
    one = padded.dtype.type(1)
    for task in range(start, stop):
        row, at = task // blocks, task % blocks * LANES
        w = min(LANES, dim - at)
        bias_, dbias_ = bias[at : at + w], dbias[row, at : at + w]
        for t in range(length):
            g = dy[row, t, at : at + w].copy()
            if silu:
                inner = bias_.copy()  # before the SiLU
                for i in range(width):
                    x_t, weight_i = padded[row, t + i, at : at + w], weight[i, at : at + w]
                    for k in range(w):
                        inner[k] += weight_i[k] * x_t[k]
                for k in range(w):
                    s = sigmoid(inner[k])
                    g[k] *= s * (one + inner[k] * (one - s))
            for i in range(width):
                x_t, weight_i = padded[row, t + i, at : at + w], weight[i, at : at + w]
                dx_t, dweight_i = dx[row, t + i, at : at + w], dweight[row, i, at : at + w]
                for k in range(w):
                    dx_t[k] += weight_i[k] * g[k]
                for k in range(w):
                    dweight_i[k] += x_t[k] * g[k]
            for k in range(w):
                dbias_[k] += g[k]


def tasks(x: Tensor) -> int:
    """Rows times blocks of channels."""
    return len(x) * -(-x.shape[2] // LANES)


@torch.library.custom_op("zoo::short_conv", mutates_args=(), device_types="cpu")
def conv(padded: Tensor, weight: Tensor, bias: Tensor, silu: bool) -> Tensor:
    """(b, l + w - 1, d), (d, w), (d,) -> (b, l, d), all of one dtype."""
    batch, padded_length, dim = padded.shape
    y = padded.new_empty(batch, padded_length - weight.shape[1] + 1, dim)
    share(forward, tasks(y), *arrays(padded, weight.t(), bias), silu, *arrays(y))
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
    dx = torch.zeros_like(padded, memory_format=torch.contiguous_format)
    dweight = padded.new_zeros(len(padded), *weight.t().shape)
    dbias = padded.new_zeros(len(padded), *bias.shape)
    inputs, outputs = arrays(padded, weight.t(), bias), arrays(dy, dx, dweight, dbias)
    share(backward, tasks(dy), *inputs, silu, *outputs)
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
