"""Attention by the xformers package: windows without a compiler at hand."""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from zoo.kernel import Kernel
from zoo.ops import cuda
from zoo.ops.attention_bias import AttentionBias
from zoo.ops.attention_shapes import level

WIDEST = 256


def xformers(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """Its masks line up the last query with the last key, as here."""
    import xformers.ops as theirs

    scale, width, groups = q.shape[-1] ** -0.5, v.shape[-1], q.shape[1] // k.shape[1]
    trained = torch.is_grad_enabled() and any(z.requires_grad for z in (q, k, v))
    if groups > 1 and trained:  # their groups have no backward
        k, v = (z.repeat_interleave(groups, dim=1) for z in (k, v))
        groups = 1
    q, k, v = (z.transpose(1, 2) for z in level(q, k, v, multiple=8))  # (b, l, h, e)
    if groups > 1:
        q = rearrange(q, "b l (g n) e -> b l g n e", n=groups)
        k, v = (z.unsqueeze(3).expand(*z.shape[:3], groups, z.shape[-1]) for z in (k, v))
    mask = mask_of(bias, k.shape[1])
    y: Tensor = theirs.memory_efficient_attention(q, k, v, attn_bias=mask, scale=scale)
    if groups > 1:
        y = y.flatten(2, 3)
    return y[..., :width].transpose(1, 2)


def mask_of(bias: AttentionBias, keys: int) -> Any:
    """Their name for who sees whom."""
    from xformers.ops.fmha import attn_bias

    if bias.band is not None:  # counts the keys before and after one's own
        left, right = bias.band.within(keys)
        right = 0 if bias.causal else right
        return attn_bias.LocalAttentionFromBottomRightMask(window_left=left, window_right=right)
    return attn_bias.LowerTriangularFromBottomRightMask() if bias.causal else None


def refuses(q: Tensor, bias: AttentionBias | None = None) -> str | None:
    """Its masks are of a few kinds; a bias would be a dense tensor, as it is for sdpa."""
    if q.device.type != "cuda":
        return f"xformers needs a CUDA device, not {q.device.type}"
    if q.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"xformers takes float32, float16 and bfloat16, not {q.dtype}"
    if bias is None:
        return None
    if bias.position is not None:
        return f"xformers takes {type(bias.position).__name__} as a dense mask only, as sdpa does"
    if bias.sinks is not None:
        return "xformers has no sinks"
    if bias.lengths is not None and not bias.causal:
        return "xformers cannot hide the padding of a bidirectional batch of one length"
    if bias.band is not None and (q.dtype == torch.float32 or q.shape[-1] > WIDEST):
        return (
            f"a window in xformers is for float16 and bfloat16 and heads up to {WIDEST} wide, not "
            f"{q.dtype} and {q.shape[-1]}"
        )
    return None


XFORMERS = Kernel(
    "xformers",
    xformers,
    missing=cuda.on_a_gpu(
        cuda.package("xformers", "xformers.ops", install="pip install 'mixer-zoo[xformers]'")
    ),
    refuses=refuses,
)
