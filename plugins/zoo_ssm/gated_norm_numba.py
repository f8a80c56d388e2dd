"""The gated norm in one compiled pass over each row, forward and backward.

A task is a block of rows, the same however many threads there are. Plain torch makes a dozen passes
over memory, several of them over numbers it kept for the backward pass; here the inputs suffice.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo.ops.vector_math import sigmoid

ROWS = 64


@zoo.ops.fused.jit
def forward(y, z, weight, groups, epsilon, before, out, first, last):  # type: ignore[no-untyped-def]
    """All (rows, d); ``before``: the norm comes before the gate."""
    width = y.shape[1] // groups
    one = y.dtype.type(1)
    for row in range(first * ROWS, min(last * ROWS, len(y))):
        for group in range(groups):
            at = group * width
            y_, z_ = y[row, at : at + width], z[row, at : at + width]
            out_, weight_ = out[row, at : at + width], weight[at : at + width]
            total = y.dtype.type(0)
            if before:
                for k in range(width):
                    total += y_[k] * y_[k]
            else:
                for k in range(width):
                    u = y_[k] * z_[k] * sigmoid(z_[k])
                    out_[k] = u
                    total += u * u
            root = one / np.sqrt(total / y.dtype.type(width) + epsilon)
            if before:
                for k in range(width):
                    out_[k] = y_[k] * root * weight_[k] * z_[k] * sigmoid(z_[k])
            else:
                for k in range(width):
                    out_[k] *= root * weight_[k]


@zoo.ops.fused.jit
def backward(y, z, weight, groups, epsilon, before, g, dy, dz, dweight, first, last):  # type: ignore[no-untyped-def] # fmt: skip
    """g is the gradient of the output; dweight comes as zeros (tasks, d)."""
    width = y.shape[1] // groups
    one, zero = y.dtype.type(1), y.dtype.type(0)
    normed, slope = np.empty(width, y.dtype), np.empty(width, y.dtype)
    gate, rise = np.empty(width, y.dtype), np.empty(width, y.dtype)
    for row in range(first * ROWS, min(last * ROWS, len(y))):
        for group in range(groups):
            at = group * width
            y_, z_, g_ = y[row, at : at + width], z[row, at : at + width], g[row, at : at + width]
            dy_, dz_ = dy[row, at : at + width], dz[row, at : at + width]
            weight_, dweight_ = weight[at : at + width], dweight[row // ROWS, at : at + width]
            total = zero
            for k in range(width):
                s = sigmoid(z_[k])
                gate[k] = z_[k] * s
                rise[k] = s * (one + z_[k] * (one - s))  # of the SiLU
                u = y_[k] if before else y_[k] * gate[k]
                normed[k] = u
                total += u * u
            root = one / np.sqrt(total / y.dtype.type(width) + epsilon)
            along = zero
            for k in range(width):
                n = normed[k] * root
                passed = g_[k] * gate[k] if before else g_[k]
                dweight_[k] += passed * n
                normed[k] = n
                slope[k] = passed * weight_[k]
                along += slope[k] * n
            along /= y.dtype.type(width)
            for k in range(width):
                du = root * (slope[k] - normed[k] * along)
                dy_[k] = du if before else du * gate[k]
                dz_[k] = rise[k] * (g_[k] * normed[k] * weight_[k] if before else du * y_[k])


@torch.library.custom_op("zoo::gated_norm", mutates_args=(), device_types="cpu")
def gated_norm(
    y: Tensor, z: Tensor, weight: Tensor, groups: int, epsilon: float, before: bool
) -> Tensor:
    """(rows, d), (rows, d), (d) -> (rows, d), all of one dtype, float32 or float64."""
    out = y.new_empty(y.shape)
    inputs = list(zoo.ops.fused.arrays(y, z, weight))
    small = inputs[0].dtype.type(epsilon)  # a wider one would widen the loop
    tasks = -(-len(y) // ROWS)
    zoo.ops.fused.share(forward, tasks, *inputs, groups, small, before, *zoo.ops.fused.arrays(out))
    return out


@torch.library.custom_op("zoo::gated_norm_backward", mutates_args=(), device_types="cpu")
def gated_norm_backward(
    y: Tensor, z: Tensor, weight: Tensor, groups: int, epsilon: float, before: bool, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What ``grad`` on the output gives to the three inputs."""
    tasks = -(-len(y) // ROWS)
    dy, dz, dweight = y.new_empty(y.shape), y.new_empty(y.shape), y.new_zeros(tasks, len(weight))
    inputs = list(zoo.ops.fused.arrays(y, z, weight))
    small = inputs[0].dtype.type(epsilon)
    others = zoo.ops.fused.arrays(grad, dy, dz, dweight)
    zoo.ops.fused.share(backward, tasks, *inputs, groups, small, before, *others)
    return dy, dz, dweight.sum(0)


@gated_norm.register_fake
def _(y: Tensor, z: Tensor, weight: Tensor, groups: int, epsilon: float, before: bool) -> Tensor:
    return y.new_empty(y.shape)


@gated_norm_backward.register_fake
def _(
    y: Tensor, z: Tensor, weight: Tensor, groups: int, epsilon: float, before: bool, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return y.new_empty(y.shape), y.new_empty(y.shape), weight.new_empty(weight.shape)


def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep the inputs; the norms are computed again."""
    *tensors, ctx.groups, ctx.epsilon, ctx.before = inputs
    ctx.save_for_backward(*tensors)


def differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """First derivatives; a second one is refused by torch, the backward operator having none."""
    flags = ctx.groups, ctx.epsilon, ctx.before
    return *gated_norm_backward(*ctx.saved_tensors, *flags, grad), None, None, None


gated_norm.register_autograd(differentiate, setup_context=setup)


@register_flop_formula(torch.ops.zoo.gated_norm)
def _(y: Any, *_: Any, **__: Any) -> int:
    """Gate 5, product 1, square and sum 2, scaling 2."""
    return int(10 * y[0] * y[1])


@register_flop_formula(torch.ops.zoo.gated_norm_backward)
def _(y: Any, *_: Any, **__: Any) -> int:
    """Gate and its slope 9, norm 4, sums and their spread 13."""
    return int(26 * y[0] * y[1])
