"""State space duality as a torch operator over the compiled loops, forward and backward."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo_ssm import ssd_numba as kernels

SPAN = 128
"""Tokens between the states that the forward pass keeps."""


@torch.library.custom_op("zoo::ssd", mutates_args=(), device_types="cpu")
def ssd(
    x: Tensor,
    scale: Tensor,
    log_decay: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """y of SSD over scale x, plus skip x; the last state; those before every SPAN tokens.

    x (b l h p), scale and log_decay (b l h), b and c (b l g n), skip (h), state (b h n p), of one
    dtype, float32 or float64; the kept states are (b, l / SPAN, h, n, p).
    """
    lanes = kernels.lanes(x.shape[3])
    x, state, width = padded(x, lanes), padded(state, lanes), x.shape[3]
    y, last, kept = empty(x, state)
    tasks = x.shape[0] * x.shape[2] * x.shape[3] // lanes
    inputs = zoo.ops.fused.arrays(x, scale, log_decay.exp(), b, c, skip, state)
    outputs = zoo.ops.fused.arrays(y, last, kept)
    zoo.ops.fused.share(kernels.forward(lanes), tasks, *inputs, SPAN, *outputs)
    return cut(y, width), cut(last, width), cut(kept, width)


@torch.library.custom_op("zoo::ssd_backward", mutates_args=(), device_types="cpu")
def ssd_backward(
    x: Tensor,
    scale: Tensor,
    log_decay: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    state: Tensor,
    kept: Tensor,
    dy: Tensor,
    dlast: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What losses dy and dlast on the two outputs give to the seven inputs."""
    decay = log_decay.exp()
    along_p = (x, scale, decay, b, c, skip, kept, dy, dlast)
    dx, dscale, dskip, start, dstate = own_gradients(*along_p)
    dc, to_c = shared_gradient(c, b, x, dy, scale, decay, state, False)
    db, to_b = shared_gradient(b, c, dy, x, scale, decay, dlast, True)
    return dx, dscale, slopes(start, to_b - to_c), db, dc, dskip, dstate


def own_gradients(
    x: Tensor,
    scale: Tensor,
    decay: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    kept: Tensor,
    dy: Tensor,
    dlast: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Of x, scale, skip, log_decay at the first token of every span, and the first state."""
    width, lanes = x.shape[3], kernels.lanes(x.shape[3])
    x, kept, dy, dlast = (padded(tensor, lanes) for tensor in (x, kept, dy, dlast))
    batch, _, heads, full = x.shape
    blocks = full // lanes
    dx, dstate = x.new_empty(x.shape), x.new_empty(dlast.shape)
    dscale, start = x.new_empty(blocks, *scale.shape), x.new_empty(blocks, *kept.shape[:3])
    dskip = x.new_empty(blocks, batch, heads)
    inputs = zoo.ops.fused.arrays(x, scale, decay, b, c, skip)
    others = zoo.ops.fused.arrays(kept, dy, dlast, dx, dscale, dskip, start, dstate)
    run = kernels.backward(lanes)
    zoo.ops.fused.share(run, batch * heads * blocks, *inputs, SPAN, *others)
    sums = dscale.sum(0), dskip.sum((0, 1)), start.sum(0)
    return cut(dx, width), *sums, cut(dstate, width)


def shared_gradient(
    own: Tensor,
    other: Tensor,
    put: Tensor,
    take: Tensor,
    scale: Tensor,
    decay: Tensor,
    state: Tensor,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    """Of C, or in reverse of B, and its product with that by head (b l h)."""
    width, lanes = own.shape[3], kernels.lanes(own.shape[3])
    own, other = padded(own, lanes), padded(other, lanes)
    state = padded(state.transpose(2, 3), lanes).transpose(2, 3)
    grad, blocks = own.new_empty(own.shape), own.shape[3] // lanes
    dots = own.new_empty(blocks, *scale.shape)
    inputs = zoo.ops.fused.arrays(own, other, put, take, scale, decay, state)
    outputs = zoo.ops.fused.arrays(grad, dots)
    tasks = own.shape[0] * own.shape[2] * blocks
    zoo.ops.fused.share(kernels.shared(lanes), tasks, *inputs, reverse, *outputs)
    return cut(grad, width), dots.sum(0)


def padded(tensor: Tensor, lanes: int) -> Tensor:
    """The last axis filled up with zeros to whole blocks of lanes."""
    fill = -tensor.shape[-1] % lanes
    return F.pad(tensor, (0, fill)) if fill else tensor


def cut(tensor: Tensor, width: int) -> Tensor:
    """The last axis without what ``padded`` added."""
    return tensor if tensor.shape[-1] == width else tensor[..., :width].contiguous()


def slopes(start: Tensor, change: Tensor) -> Tensor:
    """The gradient of log_decay (b l h), known before every span, and its change by token.

    <G_t, S_t> is both that of token t plus B_t dB_t, and that of token t + 1 plus C_t dC_t: so one
    follows from the other. Over a span alone, since the sum collects what both were rounded by.
    """
    length = change.shape[1]
    change = F.pad(change, (0, 0, 1, -length % SPAN - 1))
    spans = change.shape[1] // SPAN
    change = change.reshape(len(change), spans, SPAN, change.shape[2])
    change[:, :, 0] = start
    return change.cumsum(2).flatten(1, 2)[:, :length].contiguous()


def empty(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state and the kept ones, yet to be written."""
    batch, length = x.shape[:2]
    kept = x.new_empty(batch, -(-length // SPAN), *state.shape[1:])
    return x.new_empty(x.shape), x.new_empty(state.shape), kept


@ssd.register_fake
def _(x: Tensor, *others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return empty(x, others[-1])


@ssd_backward.register_fake
def _(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(like.new_empty(like.shape) for like in inputs[:7])


def setup(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    """Keep the inputs and a state here and there; all else is computed again."""
    ctx.save_for_backward(*inputs, output[2])
    ctx.set_materialize_grads(False)  # zeros for all kept states would be written for nothing


def differentiate(
    ctx: Any, dy: Tensor | None, dlast: Tensor | None, _: Tensor | None
) -> tuple[Tensor, ...]:
    """First derivatives; a second one is refused by torch, the backward operator having none."""
    saved = ctx.saved_tensors  # once: under checkpointing they cannot be had again
    x, state = saved[0], saved[6]
    dy = torch.zeros_like(x) if dy is None else dy
    dlast = torch.zeros_like(state) if dlast is None else dlast
    return tuple(ssd_backward(*saved, dy, dlast))


ssd.register_autograd(differentiate, setup_context=setup)


@register_flop_formula(torch.ops.zoo.ssd)
def _(x: Any, scale: Any, log_decay: Any, b: Any, *_: Any, **__: Any) -> int:
    """By number of the state 5: decay, B x, their sum, C S and its sum; scale and skip 3 by x."""
    batch, length, heads, width = x
    return int(batch * length * heads * width * (5 * b[3] + 3))


@register_flop_formula(torch.ops.zoo.ssd_backward)
def _(x: Any, scale: Any, log_decay: Any, b: Any, *_: Any, **__: Any) -> int:
    """Three such recurrences; by x 7 more, by B and C of each head 8."""
    batch, length, heads, width = x
    return int(batch * length * heads * (width * (15 * b[3] + 7) + 8 * b[3]))
