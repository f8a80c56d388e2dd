"""Softmax attention: torch's fused kernel, other people's, and the equation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.kernel import Kernel
from zoo.ops.attention_bias import AttentionBias
from zoo.ops.attention_flash import FLASH_ATTN
from zoo.ops.attention_flex import FLEX
from zoo.ops.attention_masked import learned, worth_it
from zoo.ops.attention_shapes import level, with_sink
from zoo.ops.attention_xformers import XFORMERS
from zoo.position import ContextPosition


def sdpa(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """Torch's fused attention; a position's bias or a band becomes a dense mask."""
    if bias.band is None and bias.position is None:
        if (bias.lengths is None and not bias.causal) or q.shape[2] == 1:
            return fused(q, k, v, bias.sinks)
        if q.shape[2] == k.shape[2]:
            if bias.lengths is None or not worth_trimming(bias.lengths, q.shape[2]):
                if bias.causal:  # right padding lies in the future: it is hidden already
                    return fused(q, k, v, bias.sinks, causal=True)
            else:
                return trimmed(q, k, v, bias)
    return fused(q, k, v, bias.sinks, bias.mask(q, k))


def fused(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sinks: Tensor | None = None,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Torch's call, for fewer key heads, values of another width and sinks too.

    ``causal`` is for as many keys as queries.
    """
    scale, width = q.shape[-1] ** -0.5, v.shape[-1]
    if sinks is not None:
        q, k, v = with_sink(q, k, v, sinks, scale)
        if causal:  # a first query for the first key keeps the triangle a square
            q = F.pad(q, (0, 0, 1, 0))
        if mask is not None:
            mask = F.pad(mask, (1, 0), value=1.0 if mask.dtype == torch.bool else 0.0)
    if q.shape[-1] != v.shape[-1]:
        q, k, v = level(q, k, v)  # with another width torch falls back to explicit scores
    if mask is not None and worth_it(q, k, mask):
        y = learned(q, k, v, mask, scale)
    else:
        grouped = q.shape[1] != k.shape[1]
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=grouped
        )
    if sinks is not None and causal:
        y = y[:, :, 1:]
    return y if y.shape[-1] == width else y[..., :width]


def worth_trimming(lengths: Tensor, length: int) -> bool:
    """Whether a call per row, without its padding, beats one call for all.

    Only where the lengths are on the host: to read them from elsewhere stalls the device, and
    breaks a compiled graph. Short rows are not worth the calls.
    """
    if lengths.device.type != "cpu" or length < 256 or torch.compiler.is_compiling():
        return False
    return int(lengths.square().sum()) < 0.9 * len(lengths) * length**2


def trimmed(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """Row by row, each as long as it is; zeros in the padding."""
    rows = []
    assert bias.lengths is not None
    for row, length in zip(zip(q, k, v, strict=True), bias.lengths.tolist(), strict=True):
        real_q, real_k, real_v = (z[None, :, :length] for z in row)
        y = fused(real_q, real_k, real_v, bias.sinks, causal=bias.causal)
        rows.append(F.pad(y, (0, 0, 0, q.shape[2] - length)))
    return torch.cat(rows)


def refuses_context(q: Tensor, bias: AttentionBias | None = None) -> str | None:
    """A fused kernel never shows the scores."""
    if bias is not None and isinstance(bias.position, ContextPosition):
        return f"{type(bias.position).__name__} needs the scores themselves, which it never shows"
    return None


def refuses_dense(q: Tensor, bias: AttentionBias | None = None) -> str | None:
    """Where others may do better than a dense mask: on a GPU, with a bias or a band."""
    if q.device.type != "cuda" or (
        bias is not None and (bias.band is not None or bias.position is not None)
    ):
        return "sdpa has a second place further down"
    return None


def reference(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """softmax(q k^T / sqrt(e) + bias) v as it stands, in at least float32."""
    exact = torch.promote_types(q.dtype, torch.float32)
    groups = q.shape[1] // k.shape[1]
    k, v = (z.to(exact).repeat_interleave(groups, dim=1) for z in (k, v))
    scores = q.to(exact) @ k.mT / q.shape[-1] ** 0.5  # (b, h, q, k)
    seen, added = bias.seen(q, k), bias.scores(q, k)
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    if isinstance(bias.position, ContextPosition):
        added = bias.position(q, scores)
    if added is not None:
        scores = scores + added
    if bias.sinks is not None:
        sink = bias.sinks.to(exact)[:, None, None].expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sink], dim=-1)
    y: Tensor = scores.softmax(dim=-1)[..., : k.shape[2]] @ v
    return y.to(q.dtype)


FUSED = Kernel("sdpa", sdpa, refuses=refuses_dense)
SDPA = Kernel("sdpa", sdpa, refuses=refuses_context)
REFERENCE = Kernel("reference", reference)
ATTENTIONS = (FUSED, FLASH_ATTN, FLEX, XFORMERS, SDPA, REFERENCE)
"""Each as ``run(q, k, v, bias)``: (b, h, q, e), (b, g, k, e), (b, g, k, f) to (b, h, q, f).

Torch's kernel comes first where it needs no dense mask, and last but one for the rest.
"""
