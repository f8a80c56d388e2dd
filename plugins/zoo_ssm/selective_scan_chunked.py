"""The selective scan in plain torch, chunk by chunk: fast on a CPU, and never (b, l, d, n) at once.

What makes it fast, all measured on a CPU: time comes first, so that a step is one contiguous block
and costs one fused multiply-add; d stands last, where vector units want it; a chunk stays in the
cache; buffers are made once and reused; and exp2 is several times faster than exp in torch.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

CHUNK_NUMBERS = 2**20
"""Numbers a chunk of states should hold: two such buffers fit the cache of a usual CPU."""


def chunked(
    u: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    a: Float[Tensor, "d n"],
    b: Float[Tensor, "b l n"],
    c: Float[Tensor, "b l n"],
    state: Float[Tensor, "b d n"],
    chunk: int | None = None,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """What ``reference`` computes, with first derivatives only; all tensors of one dtype.

    Keeps the state before each chunk of 16 to 64 steps for the backward pass and recomputes the
    rest (Gu and Dao 2023, section 3.3.2), so memory beyond the inputs is at most l / 16 states.
    """
    chunk = max(1, min(chunk or chunk_for(u, a), u.shape[1]))
    y, last, _ = scan(u, dt, a, b, c, state, chunk)
    return y, last


def chunk_for(u: Float[Tensor, "b l d"], a: Float[Tensor, "d n"]) -> int:
    """Steps whose states fit the cache."""
    return min(64, max(16, CHUNK_NUMBERS // max(1, u.shape[0] * a.numel())))


class Workspace:
    """Buffers for one chunk: decays (t, b, n, d), states (t + 1, b, n, d), and views by step."""

    def __init__(self, chunk: int, state: Tensor, a: Tensor) -> None:
        self.decay = state.new_empty(chunk, *state.shape)
        self.state = state.new_empty(chunk + 1, *state.shape)
        self.decays, self.states = self.decay.unbind(), self.state.unbind()
        self.exponent = a * math.log2(math.e)  # exp(dt A) = exp2(dt exponent)

    def fill(self, dt: Tensor, driven: Tensor, b: Tensor, before: Tensor) -> Tensor:
        """Run the recurrence over (t, b, d), (t, b, d), (t, b, n); returns h (t, b, n, d).

        ``before`` may be one of this workspace's own states.
        """
        steps = len(dt)
        self.states[0].copy_(before)
        decay, state = self.decay[:steps], self.state[1 : steps + 1]
        torch.mul(dt[:, :, None], self.exponent, out=decay)
        decay.exp2_()
        torch.mul(driven[:, :, None], b[..., None], out=state)
        for t in range(steps):
            self.states[t + 1].addcmul_(self.decays[t], self.states[t])
        return state


def forward(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """y (b l d), the last state (b d n), and those before each chunk, for the backward pass."""
    u, dt, a, b, c, first = time_major(u, dt, a, b, c, state)
    length = len(u)
    driven = dt * u
    work = Workspace(chunk, first, a)
    bounds = first.new_empty(-(-length // chunk), *first.shape)
    y = torch.empty_like(u)
    last = first
    for index, start in enumerate(range(0, length, chunk)):
        span = slice(start, min(start + chunk, length))
        bounds[index].copy_(last)
        h = work.fill(dt[span], driven[span], b[span], last)
        row_times(c[span], h, out=y[span])
        last = h[-1]
    return y.transpose(0, 1).contiguous(), owned(last), bounds


# operators, so that torch.compile does not unroll the loops over time
scan = torch.library.custom_op("zoo::selective_scan_chunked", forward, mutates_args=())


@scan.register_fake
def _(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    (batch, length, dim), n = u.shape, a.shape[1]
    bounds = u.new_empty(-(-length // chunk), batch, n, dim)
    return u.new_empty(u.shape), u.new_empty(state.shape), bounds


def backward(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    bounds: Tensor,
    dy: Tensor,
    dlast: Tensor,
    chunk: int,
) -> list[Tensor]:
    """The adjoint recurrence g_t = C_t dy_t + exp(dt_{t+1} A) g_{t+1}, from the last chunk."""
    u, dt, a, b, c, carry = time_major(u, dt, a, b, c, dlast)
    dy = dy.transpose(0, 1).contiguous()
    driven = dt * u
    work = Workspace(chunk, bounds[0], a)
    adjoint = torch.empty_like(work.decay)
    adjoints = adjoint.unbind()
    d_driven, d_dt, d_b, d_c = map(torch.empty_like, (u, u, b, c))
    d_a = torch.zeros_like(bounds[0])
    # dL/dh from all that comes later; a copy, since it is written to
    carry = carry.clone()
    for index in reversed(range(len(bounds))):
        span = slice(index * chunk, min((index + 1) * chunk, len(u)))
        h = work.fill(dt[span], driven[span], b[span], bounds[index])
        steps = len(h)
        row_times(dy[span], h.transpose(-1, -2), out=d_c[span])
        g = adjoint[:steps]
        torch.mul(dy[span][:, :, None], c[span][..., None], out=g)
        adjoints[steps - 1].add_(carry)
        for t in range(steps - 1, 0, -1):
            adjoints[t - 1].addcmul_(work.decays[t], adjoints[t])
        torch.mul(work.decays[0], adjoints[0], out=carry)
        row_times(driven[span], g.transpose(-1, -2), out=d_b[span])
        row_times(b[span], g, out=d_driven[span])
        # dL/d(dt_t A) = g_t h_{t-1} exp(dt_t A), in place of the decays, then spent on g
        exponent = work.decay[:steps].mul_(work.state[:steps]).mul_(g)
        torch.sum(torch.mul(exponent, a, out=g), 2, out=d_dt[span])
        d_a += exponent.mul_(dt[span][:, :, None]).sum(0)
    d_dt.addcmul_(d_driven, u)
    grads = (d_driven.mul_(dt), d_dt, d_b, d_c)
    du, d_dt, d_b, d_c = (grad.transpose(0, 1).contiguous() for grad in grads)
    return [du, d_dt, owned(d_a.sum(0)), d_b, d_c, owned(carry)]


adjoint = torch.library.custom_op("zoo::selective_scan_chunked_backward", backward, mutates_args=())


@adjoint.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    bounds: Tensor,
    dy: Tensor,
    dlast: Tensor,
    chunk: int,
) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in (u, dt, a, b, c, dlast)]


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the adjoint needs."""
    *tensors, state, ctx.chunk = inputs
    ctx.save_for_backward(*tensors, output[2])
    ctx.state = state.shape
    ctx.set_materialize_grads(False)


def gradients(
    ctx: Any, dy: Tensor | None, dlast: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Of the tensors; the kept states are nobody's output."""
    saved = ctx.saved_tensors  # once: under checkpointing they cannot be had again
    u = saved[0]
    dy = torch.zeros_like(u) if dy is None else dy
    dlast = u.new_zeros(ctx.state) if dlast is None else dlast
    return *adjoint(*saved, dy, dlast, ctx.chunk), None


scan.register_autograd(gradients, setup_context=remember)


@register_flop_formula(torch.ops.zoo.selective_scan_chunked)
def forward_flops(u: torch.Size, dt: torch.Size, a: torch.Size, *_: Any, **__: Any) -> int:
    """The products C h alone, as torch counts them: what is by number is never counted."""
    return 2 * u.numel() * a[1]


@register_flop_formula(torch.ops.zoo.selective_scan_chunked_backward)
def backward_flops(u: torch.Size, dt: torch.Size, a: torch.Size, *_: Any, **__: Any) -> int:
    """The products for B, C and the drive."""
    return 6 * u.numel() * a[1]


def owned(state: Tensor) -> Tensor:
    """The last two axes changed over, in memory of its own.

    A copy even when n or d is 1, or the whole workspace would live on in the state.
    """
    return state.transpose(-1, -2).clone(memory_format=torch.contiguous_format)


def time_major(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    state: Tensor,
) -> tuple[Tensor, ...]:
    """Length first and d last: u, dt (l, b, d), a (n, d), b, c (l, b, n), state (b, n, d)."""
    u, dt, b, c = (x.transpose(0, 1).contiguous() for x in (u, dt, b, c))
    return u, dt, a.t().contiguous(), b, c, state.transpose(-1, -2).contiguous()


def row_times(row: Tensor, matrix: Tensor, out: Tensor) -> None:
    """(t, b, i) and (t, b, i, j) -> (t, b, j). As one batch of rows: a column costs ten times."""
    torch.bmm(row.flatten(0, 1)[:, None], matrix.flatten(0, 1), out=out.flatten(0, 1)[:, None])
