"""Softmax attention of every query to every key: torch's fused kernel, and the equation."""

import torch
import torch.nn.functional as F
from torch import Tensor


def sdpa(q: Tensor, k: Tensor, v: Tensor, causal: bool, keep: Tensor | None) -> Tensor:
    """Torch's fused attention; (b, h, l, e) each, ``keep`` (b, l) the keys that are real."""
    mask = None if keep is None else keep[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def reference(q: Tensor, k: Tensor, v: Tensor, causal: bool, keep: Tensor | None) -> Tensor:
    """The equation as it stands, scores in at least float32."""
    exact = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(exact) @ k.to(exact).mT / q.shape[-1] ** 0.5  # (b, h, l, l)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    if keep is not None:
        scores = scores.masked_fill(~keep[:, None, None, :], -torch.inf)
    y: Tensor = scores.softmax(dim=-1) @ v.to(exact)
    return y.to(q.dtype)
