"""The gated scan in plain torch, in a few long steps instead of one for each token.

All chunks advance by a token at once; the state before each is found first, by the same scan over
the chunks themselves, so that 16 times the length costs 32 steps more. Only products of decays are
formed, never quotients: no decay is too small.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 16
"""Tokens; 8 to 32 are equally fast on a CPU, for narrow inputs and wide ones."""


def chunked(
    decay: Tensor, drive: Tensor, state: Tensor, reverse: bool, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """What ``reference`` computes, with first derivatives only; all tensors of one dtype."""
    h, last = GatedScan.apply(decay, drive, state, reverse, chunk)  # type: ignore[no-untyped-call]
    return h, last


class GatedScan(torch.autograd.Function):
    """The adjoint of a scan is a scan in the other direction."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        """decay (b l d) or (d), drive (b l d), state (b d), reverse, chunk -> h (b l d), (b d)."""
        decay, drive, state, ctx.reverse, ctx.chunk = inputs
        h = torch.empty_like(drive, memory_format=torch.contiguous_format)
        scan(decay, drive, state, h, ctx.reverse, ctx.chunk)
        ctx.save_for_backward(decay, h, state)
        return h, h[:, 0 if ctx.reverse else -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        """g_t = dh_t + conj(decay_{t+1}) g_{t+1}, from the end; ddecay_t = g_t conj(h_{t-1})."""
        decay, h, state = ctx.saved_tensors
        gated = decay.ndim == 3
        later, earlier, start, end = slice(1, None), slice(None, -1), 0, -1
        if ctx.reverse:
            later, earlier, start, end = earlier, later, end, start
        decay = decay.conj().resolve_conj()
        g = torch.empty_like(h)
        g[:, end] = dh[:, end] + dlast
        rest = decay[:, later] if gated else decay
        scan(rest, dh[:, earlier], g[:, end], g[:, earlier], not ctx.reverse, ctx.chunk)
        ddecay = torch.empty_like(h)
        ddecay[:, later] = g[:, later] * h[:, earlier].conj()
        ddecay[:, start] = g[:, start] * state.conj()
        dstate = (decay[:, start] if gated else decay) * g[:, start]
        return ddecay if gated else ddecay.sum((0, 1)), g, dstate, None, None


def scan(
    decay: Tensor, drive: Tensor, state: Tensor, out: Tensor, reverse: bool, chunk: int
) -> None:
    """Writes all h (b, l, d) to ``out``; what whole chunks leave over is at the end of l."""
    batch, length, width = drive.shape
    chunks = length // chunk
    if chunks < 2:
        advance(decay, drive, state, out, reverse)
        return
    cut = chunks * chunk
    whole, rest = slice(None, cut), slice(cut, None)
    gated = decay.ndim == 3
    tail = decay[:, rest] if gated else decay, drive[:, rest]
    if reverse and cut < length:
        advance(*tail, state, out[:, rest], reverse)
        state = out[:, cut]
    shape = batch, chunks, chunk, width
    outs, drives = out[:, whole].view(shape).unbind(2), drive[:, whole].view(shape).unbind(2)
    decays = decay[:, whole].view(shape).unbind(2) if gated else [decay] * chunk
    order = range(chunk)[::-1] if reverse else range(chunk)
    ends, product = drives[order[0]], decays[order[0]]
    for t in order[1:]:
        ends, product = torch.addcmul(drives[t], decays[t], ends), decays[t] * product
    states = torch.empty_like(ends)
    scan(product, ends, state, states, reverse, chunk)
    before = states.roll(-1 if reverse else 1, 1)
    before[:, -1 if reverse else 0] = state
    for t in order:
        before = outs[t].copy_(drives[t]).addcmul_(decays[t], before)
    if not reverse and cut < length:
        advance(*tail, out[:, cut - 1], out[:, rest], reverse)


def advance(decay: Tensor, drive: Tensor, state: Tensor, out: Tensor, reverse: bool) -> None:
    """Token by token. Written by copy_ and not by out=, which torch.compile does not take here."""
    order = range(drive.shape[1])
    for t in reversed(order) if reverse else order:
        a = decay[:, t] if decay.ndim == 3 else decay
        state = out[:, t].copy_(drive[:, t]).addcmul_(a, state)
