"""Mamba-3's inner operation, the exponential-trapezoidal recurrence, and its kernels."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

import zoo
from zoo_ssm.ssd import KERNELS as SSD

Past = tuple[Tensor, Tensor, Tensor]
"""The state S (b, h, n, p), and B (b, r, h, n) and x (b, r, h, p) of the token before."""
Recurrence = Callable[..., tuple[Tensor, Tensor]]


def trapezoid(
    run: Recurrence,
    x: Float[Tensor, "b l r h p"],
    b: Float[Tensor, "b l r h n"],
    c: Float[Tensor, "b l r h n"],
    log_decay: Float[Tensor, "b l h"],
    now: Float[Tensor, "b l h"],
    before: Float[Tensor, "b l h"],
    past: Past,
) -> tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b h n p"]]:
    """y_t,i = C_t,i^T S_t of S_t = a_t (S_t-1 + before_t W_t-1) + now_t W_t; and the last S.

    W_t = sum_i B_t,i x_t,i^T over the ranks r, a = exp(log_decay) at most 1. Lahoti et al. 2026,
    arXiv:2603.15569: now = dt lambda, before = dt (1 - lambda). Computed and carried in float32
    at least; y has the dtype of x.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    inputs = (tensor.to(wide) for tensor in (x, b, c, log_decay, now, before))
    state, b_before, x_before = (tensor.to(wide) for tensor in past)
    device = x.device.type
    mixed = torch.amp.is_autocast_available(device)  # not on meta
    with torch.autocast(device, enabled=False) if mixed else nullcontext():
        y, last = run(*inputs, (state, b_before, x_before))
    return y.to(x.dtype), last


def reference(
    x: Float[Tensor, "b l r h p"],
    b: Float[Tensor, "b l r h n"],
    c: Float[Tensor, "b l r h n"],
    log_decay: Float[Tensor, "b l h"],
    now: Float[Tensor, "b l h"],
    before: Float[Tensor, "b l h"],
    past: Past,
) -> tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b h n p"]]:
    """The recurrence as the paper writes it, one token at a time, in plain differentiable torch."""
    state, *last = past
    written = outer(*last)
    weights = [each[..., None, None] for each in (log_decay.exp(), now, before)]
    outputs = []
    for t in range(x.shape[1]):
        decay, new, old = (weight[:, t] for weight in weights)
        state = decay * (state + old * written)
        written = outer(b[:, t], x[:, t])
        state = state + new * written
        outputs.append((c[:, t, ..., None] * state[:, None]).sum(-2))
    return torch.stack(outputs, 1), state


def outer(b: Float[Tensor, "b r h n"], x: Float[Tensor, "b r h p"]) -> Float[Tensor, "b h n p"]:
    """W, what a token writes: the sum over its ranks."""
    return (b[..., None] * x[..., None, :]).sum(1)


def by_ssd(
    ssd: Recurrence,
    x: Float[Tensor, "b l r h p"],
    b: Float[Tensor, "b l r h n"],
    c: Float[Tensor, "b l r h n"],
    log_decay: Float[Tensor, "b l h"],
    now: Float[Tensor, "b l h"],
    before: Float[Tensor, "b l h"],
    past: Past,
) -> tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b h n p"]]:
    """The same through one state space duality, in which a token writes what the last one left.

    S_t = U_t + now_t W_t with U_t = a_t U_t-1 + a_t (now_t-1 + before_t) W_t-1, the recurrence of
    ``ssd`` with B and x one token late. Nothing is added that must be taken away again, and no
    output touches a later token, as in the authors' form, where x_t is weighted by
    now_t + before_t+1. Ranks follow each other as tokens that forget nothing; the later ranks of
    a token, which its earlier ones do not see, are added.
    """
    state, b_before, x_before = past
    rank = x.shape[2]
    left = torch.cat([torch.zeros_like(now[:, :1]), now[:, :-1]], 1)  # S holds its own share
    weight = log_decay.exp() * (left + before)
    x_late = torch.cat([x_before[:, None], x[:, :-1]], 1)
    b_late = torch.cat([b_before[:, None], b[:, :-1]], 1)
    forget = F.pad(log_decay[:, :, None], (0, 0, 0, rank - 1))
    scale = repeat(weight, "b l h -> b (l r) h", r=rank)
    tokens = (rearrange(t, "b l r h ... -> b (l r) h ...") for t in (x_late, forget, b_late, c))
    y, last = ssd(*tokens, state, scale=scale)
    y = rearrange(y, "b (l r) h p -> b l r h p", r=rank)
    y = y + within_token(c, (b, b_late), (x, x_late), (now, weight))
    return y, last + outer(b[:, -1], x[:, -1]) * now[:, -1, :, None, None]


def within_token(
    c: Float[Tensor, "b l r h n"],
    b: tuple[Float[Tensor, "b l r h n"], Float[Tensor, "b l r h n"]],
    x: tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b l r h p"]],
    weight: tuple[Float[Tensor, "b l h"], Float[Tensor, "b l h"]],
) -> Float[Tensor, "b l r h p"]:
    """sum_j w (C_i . B_j) x_j over all ranks j of this token, and over j > i of the late one."""
    rank = c.shape[2]
    if rank == 1:
        return (c * b[0]).sum(-1, keepdim=True) * weight[0][:, :, None, :, None] * x[0]
    ones = c.new_ones(rank, rank)
    masks = torch.stack([ones, ones.triu(1)], 1)  # (i, this or late, j)
    weights = torch.stack(weight, -1)[:, :, :, None, :, None] * masks
    scores = torch.einsum("blihn,bljhn->blhij", c, torch.cat(b, 2)) * weights.flatten(-2)
    return torch.einsum("blhij,bljhp->blihp", scores, torch.cat(x, 2))


KERNELS = (
    *(
        zoo.Kernel(k.name, partial(trapezoid, partial(by_ssd, k.run)), k.missing, k.refuses)
        for k in SSD
        if k.name != "reference"
    ),
    zoo.Kernel("reference", partial(trapezoid, reference)),
)
