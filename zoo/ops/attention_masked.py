"""Attention under a mask that is learned, on the CPU: the gradient of the mask head by head."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

WORTH = 1 << 24
"""Scores from which on it is faster than torch (and 64 MB smaller, several times over)."""


def learned(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Fused attention for a mask (#b, h, q, k) that wants a gradient, which torch's has not.

    Torch would compute all scores at once and keep them. Here forward is fused, and backward makes
    the scores of one head of one row after the other.
    """
    return Masked.apply(q, k, v, mask, scale)  # type: ignore[no-untyped-call, no-any-return]


def worth_it(q: Tensor, k: Tensor, mask: Tensor | None) -> bool:
    """Whether the mask wants a gradient, on the CPU, and there are many scores."""
    if mask is None or not mask.requires_grad or not torch.is_grad_enabled():
        return False
    many = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] >= WORTH
    return many and q.device.type == "cpu" and not torch.compiler.is_compiling()


class Masked(torch.autograd.Function):
    """softmax(scale q k^T + mask) v."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
        grouped, told = q.shape[1] != k.shape[1], mask.detach()  # or torch would not fuse it
        y = F.scaled_dot_product_attention(q, k, v, told, scale=scale, enable_gqa=grouped)
        ctx.save_for_backward(q, k, v, mask, y)
        ctx.scale = scale
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, mask, y = ctx.saved_tensors
        exact = torch.promote_types(q.dtype, torch.float32)
        dq, dk, dv, dmask = (torch.zeros_like(z, dtype=exact) for z in (q, k, v, mask))
        inner = (dy.to(exact) * y).sum(-1, keepdim=True)
        groups = q.shape[1] // k.shape[1]
        for b in range(len(q)):
            row = b if len(mask) > 1 else 0
            for h in range(q.shape[1]):
                g = h // groups
                mine, keys, values, told = (
                    z.to(exact) for z in (q[b, h] * ctx.scale, k[b, g], v[b, g], dy[b, h])
                )
                weights = (mine @ keys.mT).add_(mask[row, h]).softmax(-1)
                dv[b, g] += weights.mT @ told
                change = (told @ values.mT).sub_(inner[b, h]).mul_(weights)
                dmask[row, h] += change
                dq[b, h] = change @ keys * ctx.scale
                dk[b, g] += change.mT @ mine
        return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype), dmask.to(mask.dtype), None
