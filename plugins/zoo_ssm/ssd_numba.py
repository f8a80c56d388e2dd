"""State space duality as a torch operator over the compiled loops, forward and backward."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo_ssm import ssd_kernels_numba as kernels

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
    y, last, kept = empty(x, state)
    lanes = kernels.lanes(x.shape[3])
    tasks = x.shape[0] * x.shape[2] * -(-x.shape[3] // lanes)
    inputs = zoo.ops.fused.arrays(x, scale, log_decay.exp(), b, c, skip, state)
    outputs = zoo.ops.fused.arrays(y, last, kept)
    zoo.ops.fused.share(kernels.forward(lanes), tasks, *inputs, SPAN, *outputs)
    return y, last, kept


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
    arrays, share = zoo.ops.fused.arrays, zoo.ops.fused.share
    batch, _, heads, width = x.shape
    groups, n = b.shape[2:]
    inputs = list(arrays(x, scale, log_decay.exp(), b, c, skip))
    x_, scale_, decay_, b_, c_, _ = inputs
    first, kept_, dy_, dlast_ = arrays(state, kept, dy, dlast)

    lanes = kernels.lanes(width)
    blocks = -(-width // lanes)
    dx, dstate = (
        torch.empty_like(like, memory_format=torch.contiguous_format) for like in (x, state)
    )
    dscale, slope = x.new_empty(blocks, *scale.shape), x.new_empty(blocks, *kept.shape[:3])
    dskip = x.new_empty(blocks, batch, heads)
    outputs = arrays(dx, dscale, dskip, slope, dstate)
    tasks = batch * heads * blocks
    share(kernels.backward(lanes), tasks, *inputs, SPAN, kept_, dy_, dlast_, *outputs)

    lanes = kernels.lanes(n)
    blocks = -(-n // lanes)
    run, tasks = kernels.shared(lanes), batch * groups * blocks
    db, dc = (torch.empty_like(like, memory_format=torch.contiguous_format) for like in (b, c))
    to_b, to_c = (x.new_empty(blocks, *scale.shape) for _ in range(2))
    share(run, tasks, c_, scale_, decay_, b_, x_, dy_, first, False, *arrays(dc, to_c))
    share(run, tasks, b_, scale_, decay_, c_, dy_, x_, dlast_, True, *arrays(db, to_b))

    d_log = slopes(slope.sum(0), (to_b - to_c).sum(0))
    return dx, dscale.sum(0), d_log, db, dc, dskip.sum((0, 1)), dstate


def slopes(start: Tensor, change: Tensor) -> Tensor:
    """The gradient of log_decay (b l h), known before every span, and its change by token.

    <G_t, S_t> is both that of token t plus B_t dB_t, and that of token t + 1 plus C_t dC_t: so one
    follows from the other. Over a span alone, since the sum collects what both were rounded by.
    """
    length = change.shape[1]
    change = torch.nn.functional.pad(change, (0, 0, 1, -length % SPAN - 1))
    change = change.reshape(len(change), -1, SPAN, change.shape[2])
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


def differentiate(ctx: Any, dy: Tensor, dlast: Tensor, _: Tensor | None) -> tuple[Tensor, ...]:
    """First derivatives; a second one is refused by torch, the backward operator having none."""
    return tuple(ssd_backward(*ctx.saved_tensors, dy, dlast))


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
