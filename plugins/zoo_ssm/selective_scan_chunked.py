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
from torch.autograd.function import once_differentiable

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
    numbers = max(1, u.shape[0] * a.numel())
    chunk = chunk or min(64, max(16, CHUNK_NUMBERS // numbers))
    chunk = max(1, min(chunk, u.shape[1]))
    y, last = ChunkedScan.apply(u, dt, a, b, c, state, chunk)  # type: ignore[no-untyped-call]
    return y, last


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


class ChunkedScan(torch.autograd.Function):
    """Every product has ``out=`` or is in place: autocast leaves those in their own precision."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        """u, dt (b l d), a (d n), b, c (b l n), state (b d n), chunk -> y (b l d), last (b d n)."""
        *tensors, chunk = inputs
        u, dt, a, b, c, first = time_major(*tensors)
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
        ctx.save_for_backward(*tensors, bounds)
        ctx.chunk = chunk
        # a copy even when n or d is 1, or the whole workspace would live on in the state
        last = last.transpose(-1, -2).clone(memory_format=torch.contiguous_format)
        return y.transpose(0, 1), last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint recurrence g_t = C_t dy_t + exp(dt_{t+1} A) g_{t+1}, from the last chunk."""
        *tensors, bounds = ctx.saved_tensors
        u, dt, a, b, c, _ = time_major(*tensors)
        dy = dy.transpose(0, 1).contiguous()
        driven = dt * u
        work = Workspace(ctx.chunk, bounds[0], a)
        adjoint = torch.empty_like(work.decay)
        adjoints = adjoint.unbind()
        d_driven, d_dt, d_b, d_c = map(torch.empty_like, (u, u, b, c))
        d_a = torch.zeros_like(bounds[0])
        # dL/dh from all that comes later; a copy, since it is written to
        carry = dlast.transpose(-1, -2).clone(memory_format=torch.contiguous_format)
        for index in reversed(range(len(bounds))):
            span = slice(index * ctx.chunk, min((index + 1) * ctx.chunk, len(u)))
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
        du, d_dt, d_b, d_c = (grad.transpose(0, 1) for grad in grads)
        return du, d_dt, d_a.sum(0).t(), d_b, d_c, carry.transpose(-1, -2), None


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
