"""Attention to a band of keys: in blocks, at a cost linear in the length, and the equation."""

from math import ceil

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

import zoo


def block_size(band: zoo.ops.Band, length: int) -> int:
    """Queries per block: narrow wastes few keys, wide copies few of them and keeps a core busy.

    Measured on a CPU, forward and backward: 32 is best for windows up to 64, 128 for 512.
    """
    window = band.left + 1 + band.right
    size = max(32, window // 4, min(window // 2, 128))
    return min(length, -(-size // 16) * 16)


def blocked(q: Tensor, k: Tensor, v: Tensor, bias: zoo.ops.AttentionBias) -> Tensor:
    """Each block of c queries meets the c + left + right keys that they can see together.

    ``q``, ``k``, ``v`` (b, h, l, e).
    """
    assert bias.band is not None
    heads, length = q.shape[1:3]
    past = k.shape[2] - length
    if past:  # queries for the cached keys too, whose answers nobody reads
        filled = F.pad(q, (0, 0, past, 0))
        return q if not length else blocked(filled, k, v, bias)[:, :, past:]
    band = bias.band.within(length)
    keep = None
    if bias.lengths is not None and not bias.causal:
        keep = torch.arange(length, device=q.device) < bias.lengths.to(q.device)[:, None]
    size = block_size(band, length)
    end = -length % size
    span = size + band.left + band.right
    at = torch.arange(length + end, device=q.device).view(-1, size, 1)  # (n, c, 1)
    key = at[:, :1] - band.left + torch.arange(span, device=q.device)  # (n, 1, s)
    seen = (key >= at - band.left) & (key <= at + band.right) & (key >= 0) & (key < length)
    if keep is None:
        # one mask serves all rows and heads
        fold, unfold = "b h n c e -> n (b h) c e", "n (b h) c e -> b h (n c) e"
    else:
        fold, unfold = "b h n c e -> (b n) h c e", "(b n) h c e -> b h (n c) e"
        real = F.pad(keep, (band.left, end + band.right)).unfold(1, span, size)  # (b, n, s)
        seen = seen & real[:, :, None]  # (b, n, c, s)
    # a query of the padding may see no key at all: its own keeps the softmax finite
    seen = (seen | (key == at)).view(-1, 1, size, span)
    queries = rearrange(F.pad(q, (0, 0, 0, end)), "b h (n c) e -> b h n c e", c=size)
    y = F.scaled_dot_product_attention(
        rearrange(queries, fold),
        rearrange(spans(k, band, size), fold),
        rearrange(spans(v, band, size), fold),
        attn_mask=seen,
    )
    return rearrange(y, unfold, h=heads, n=len(at))[:, :, :length]


def spans(x: Tensor, band: zoo.ops.Band, size: int) -> Tensor:
    """(b, h, l, e) to (b, h, n, s, e): what each block of ``size`` can see; zeros off the ends."""
    blocks = ceil(x.shape[2] / size)
    span = size + band.left + band.right
    shifts = ceil(span / size)
    padded = F.pad(x, (0, 0, band.left, (blocks + shifts - 1) * size - x.shape[2] - band.left))
    tiles = rearrange(padded, "b h (n c) e -> b h n c e", c=size)  # n + shifts - 1 of them
    # shifted tiles side by side: the backward of unfold adds one number at a time
    near = [tiles[:, :, i : i + blocks] for i in range(shifts)]
    near[-1] = near[-1][..., : span - (shifts - 1) * size, :]
    return torch.cat(near, dim=3)
