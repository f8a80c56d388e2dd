"""The compiled selective scan as torch operators, so that autograd, compile and counters see it."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo_ssm.selective_scan_numba import kernels, update

Size = int | torch.SymInt


def layout(dim: Size, n: Size, length: Size) -> Any:
    """(lanes and number of blocks, steps and number of spans); sizes may be symbols.

    What is kept is n / span of one input, and a span's workspace should fit a core's second cache.
    """
    lanes = 64 if dim <= 64 else 128
    span = 32 if n <= 32 else 64 if n <= 64 else 128
    return lanes, -(-dim // lanes), span, -(-length // span)


def like(x: Tensor, *shape: Size) -> Tensor:
    """An empty tensor of this shape."""
    return x.new_empty(shape)


@torch.library.custom_op("zoo::selective_scan", mutates_args=(), device_types="cpu")
def scan(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    dt_bias: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """y (b, l, d), the last state (b, d, n), and the states kept for the backward pass."""
    (batch, length, dim), n = u.shape, a.shape[1]
    lanes, blocks, span, spans = layout(dim, n, length)
    y, last = torch.empty_like(u, memory_format=torch.contiguous_format), like(u, batch, n, dim)
    kept = like(u, batch * blocks, spans, n, lanes)
    inputs = zoo.ops.fused.arrays(u, dt, a.t(), b, c, skip, z, dt_bias, state.transpose(1, 2))
    outputs = zoo.ops.fused.arrays(y, last, kept)
    zoo.ops.fused.share(kernels(lanes)[0], batch * blocks, *inputs, span, *outputs)
    return y, last.transpose(1, 2).contiguous(), kept


@scan.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    dt_bias: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    (batch, length, dim), n = u.shape, a.shape[1]
    lanes, blocks, _, spans = layout(dim, n, length)
    y = like(u, batch, length, dim)
    return y, like(u, batch, dim, n), like(u, batch * blocks, spans, n, lanes)


@torch.library.custom_op("zoo::selective_scan_backward", mutates_args=(), device_types="cpu")
def adjoint(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    dt_bias: Tensor,
    kept: Tensor,
    dy: Tensor,
    dlast: Tensor,
) -> list[Tensor]:
    """Gradients of u, dt, a, b, c, skip, z, dt_bias, state.

    Sums over rows or blocks of channels are taken last, so that they do not depend on threads.
    """
    (batch, length, dim), n = u.shape, a.shape[1]
    lanes, blocks, span, _ = layout(dim, n, length)
    du, d_dt, dz = (like(u, batch, length, dim) for _ in range(3))
    da, dstate = like(u, batch, n, dim), like(u, batch, n, dim)
    db, dc = like(u, blocks, batch, length, n), like(u, blocks, batch, length, n)
    dskip, dbias = like(u, batch, dim), like(u, batch, dim)
    inputs = zoo.ops.fused.arrays(u, dt, a.t(), b, c, skip, z, dt_bias)
    rest = zoo.ops.fused.arrays(kept, dy, dlast.transpose(1, 2))
    outputs = zoo.ops.fused.arrays(du, d_dt, da, db, dc, dskip, dz, dbias, dstate)
    zoo.ops.fused.share(kernels(lanes)[1], batch * blocks, *inputs, span, *rest, *outputs)
    summed = (da.sum(0).t().contiguous(), db.sum(0), dc.sum(0), dskip.sum(0), dz, dbias.sum(0))
    return [du, d_dt, *summed, dstate.transpose(1, 2).contiguous()]


@adjoint.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    dt_bias: Tensor,
    kept: Tensor,
    dy: Tensor,
    dlast: Tensor,
) -> list[Tensor]:
    return [like(x, *x.shape) for x in (u, dt, a, b, c, skip, z, dt_bias, dlast)]


def remember(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the adjoint needs."""
    *tensors, state = inputs
    ctx.save_for_backward(*tensors, output[2])
    ctx.state = state.shape
    ctx.set_materialize_grads(False)


def gradients(
    ctx: Any, dy: Tensor | None, dlast: Tensor | None, _: Tensor | None
) -> tuple[Tensor, ...]:
    """Of all nine inputs; the kept states are nobody's output."""
    *tensors, kept = ctx.saved_tensors
    u = tensors[0]
    dy = torch.zeros_like(u) if dy is None else dy
    dlast = u.new_zeros(ctx.state) if dlast is None else dlast
    return tuple(adjoint(*tensors, kept, dy, dlast))


scan.register_autograd(gradients, setup_context=remember)


@register_flop_formula(torch.ops.zoo.selective_scan)
def forward_flops(u: torch.Size, dt: torch.Size, a: torch.Size, *_: Any, **__: Any) -> int:
    """7 a state (dt A, exp, B dt u, two multiply-adds), 12 a channel, an exponential being one."""
    return u.numel() * (7 * a[1] + 12)


@register_flop_formula(torch.ops.zoo.selective_scan_backward)
def backward_flops(u: torch.Size, dt: torch.Size, a: torch.Size, *_: Any, **__: Any) -> int:
    """The states once more, 14 each for the adjoint, 35 a channel."""
    return u.numel() * (21 * a[1] + 35)


@torch.library.custom_op("zoo::selective_scan_update", mutates_args=(), device_types="cpu")
def advance(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    dt_bias: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """One token without gradients: u, dt, z (b, d), b and c (b, n) -> y (b, d), the next state."""
    y, new = like(u, *u.shape), like(state, *state.shape)
    inputs = zoo.ops.fused.arrays(u, dt, a, b, c, skip, z, dt_bias, state)
    update(*inputs, *zoo.ops.fused.arrays(y, new), 0, len(u))
    return y, new


@advance.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    dt_bias: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    return like(u, *u.shape), like(state, *state.shape)


@register_flop_formula(torch.ops.zoo.selective_scan_update)
def update_flops(u: torch.Size, dt: torch.Size, a: torch.Size, *_: Any, **__: Any) -> int:
    """As ``forward_flops``."""
    return u.numel() * (7 * a[1] + 12)
