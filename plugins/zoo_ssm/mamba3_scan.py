"""Mamba-3's inner operation, the exponential-trapezoidal recurrence, and its kernels."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

import zoo
from zoo_ssm.ssd import KERNELS as SSD

Past = tuple[Tensor, Tensor, Tensor]
"""The state S (b, h, n, p), and B (b, r, h, n) and x (b, r, h, p) of the token before."""
Recurrence = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Past], tuple[Tensor, Tensor]]


def trapezoid(
    run: Recurrence,
    x: Float[Tensor, "b l r h p"],
    b: Float[Tensor, "b l r h n"],
    c: Float[Tensor, "b l r h n"],
    log_decay: Float[Tensor, "b l h"],
    now: Float[Tensor, "b l h"],
    before: Float[Tensor, "b l h"],
    past: Past | None = None,
) -> tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b h n p"]]:
    """y_t,i = C_t,i^T S_t of S_t = a_t (S_t-1 + before_t W_t-1) + now_t W_t; and the last S.

    W_t = sum_i B_t,i x_t,i^T over the ranks r, a = exp(log_decay) at most 1. Lahoti et al. 2026,
    arXiv:2603.15569: now = dt lambda, before = dt (1 - lambda). Computed and carried in float32
    at least; y has the dtype of x.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    if past is None:
        state = x.new_zeros(len(x), x.shape[3], b.shape[4], x.shape[4])
        past = state, torch.zeros_like(b[:, 0]), torch.zeros_like(x[:, 0])
    x_, b, c, log_decay, now, before = (t.to(wide) for t in (x, b, c, log_decay, now, before))
    state, b_before, x_before = (tensor.to(wide) for tensor in past)
    y, last = run(x_, b, c, log_decay, now, before, (state, b_before, x_before))
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
    outputs = []
    for t in range(x.shape[1]):
        decay, new, old = (w[:, t, :, None, None] for w in (log_decay.exp(), now, before))
        state = decay * (state + old * written)
        written = outer(b[:, t], x[:, t])
        state = state + new * written
        outputs.append((c[:, t, ..., None] * state[:, None]).sum(-2))
    return torch.stack(outputs, 1), state


def outer(b: Float[Tensor, "b r h n"], x: Float[Tensor, "b r h p"]) -> Float[Tensor, "b h n p"]:
    """W, what a token writes: the sum over its ranks."""
    return (b[..., None] * x[..., None, :]).sum(1)


def by_ssd(
    ssd: Callable[..., tuple[Tensor, Tensor]],
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
    weight = (log_decay.exp() * (left + before))[:, :, None, :, None]
    late = weight * torch.cat([x_before[:, None], x[:, :-1]], 1)
    b_late = torch.cat([b_before[:, None], b[:, :-1]], 1)
    forget = torch.cat(
        [log_decay[:, :, None], log_decay.new_zeros(*x.shape[:2], rank - 1, x.shape[3])], 2
    )
    tokens = (rearrange(each, "b l r h ... -> b (l r) h ...") for each in (late, forget, b_late, c))
    y, last = ssd(*tokens, state)
    y = rearrange(y, "b (l r) h p -> b l r h p", r=rank)
    y = y + at_once(c, b, x * now[:, :, None, :, None])
    if rank > 1:
        y = y + at_once(c, b_late, late, later=True)
    return y, last + outer(b[:, -1], x[:, -1]) * now[:, -1, :, None, None]


def at_once(
    c: Float[Tensor, "b l r h n"],
    b: Float[Tensor, "b l r h n"],
    x: Float[Tensor, "b l r h p"],
    later: bool = False,
) -> Float[Tensor, "b l r h p"]:
    """y_i = sum_j (C_i . B_j) x_j inside each token; over the ranks j > i alone if ``later``."""
    y = x.new_zeros(x.shape)
    for j in range(x.shape[2]):
        scores = (c * b[:, :, j : j + 1]).sum(-1, keepdim=True)
        if later:
            scores = F.pad(scores[:, :, :j], (0, 0, 0, 0, 0, x.shape[2] - j))
        y = torch.addcmul(y, scores, x[:, :, j : j + 1])
    return y


KERNELS = (
    *(
        zoo.Kernel(k.name, partial(trapezoid, partial(by_ssd, k.run)), k.missing, k.refuses)
        for k in SSD
        if k.name != "reference"
    ),
    zoo.Kernel("reference", partial(trapezoid, reference)),
)
