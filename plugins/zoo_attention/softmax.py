"""Softmax attention of every query to every key: torch's fused kernel, and the equation.

Both take (b, h, l, e) each and ``lengths`` (b,), the number of real keys in a row, or None.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def sdpa(q: Tensor, k: Tensor, v: Tensor, causal: bool, lengths: Tensor | None) -> Tensor:
    """Torch's fused attention."""
    if lengths is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    if worth_trimming(lengths, q.shape[2]):
        return trimmed(q, k, v, causal, lengths)
    # right padding lies in the future: the causal mask hides it already
    mask = None if causal else real(lengths, k)[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def worth_trimming(lengths: Tensor, length: int) -> bool:
    """Whether a call per row, without its padding, beats one call for all.

    Only where the lengths are on the host: to read them from elsewhere stalls the device. Short
    rows are not worth the calls.
    """
    if lengths.device.type != "cpu" or length < 256:
        return False
    return int(lengths.square().sum()) < 0.9 * len(lengths) * length**2


def trimmed(q: Tensor, k: Tensor, v: Tensor, causal: bool, lengths: Tensor) -> Tensor:
    """Row by row, each as long as it is; zeros in the padding."""
    rows = []
    for row, length in zip(zip(q, k, v, strict=True), lengths.tolist(), strict=True):
        real_q, real_k, real_v = (z[None, :, :length] for z in row)
        y = F.scaled_dot_product_attention(real_q, real_k, real_v, is_causal=causal)
        rows.append(F.pad(y, (0, 0, 0, q.shape[2] - length)))
    return torch.cat(rows)


def reference(q: Tensor, k: Tensor, v: Tensor, causal: bool, lengths: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(e)) v as it stands, in at least float32."""
    exact = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(exact) @ k.to(exact).mT / q.shape[-1] ** 0.5  # (b, h, l, l)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    if lengths is not None:
        scores = scores.masked_fill(~real(lengths, k)[:, None, None, :], -torch.inf)
    y: Tensor = scores.softmax(dim=-1) @ v.to(exact)
    return y.to(q.dtype)


def real(lengths: Tensor, keys: Tensor) -> Tensor:
    """(b, l): which keys are no padding. An empty row keeps one, or its softmax has no sum."""
    return torch.arange(keys.shape[2], device=keys.device) < lengths.clamp_min(1)[:, None]
