"""Attention to a band of keys: in blocks, at a cost linear in the length, and the equation."""

from math import ceil
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


class Band(NamedTuple):
    """How many keys a query sees before and after its own."""

    left: int
    right: int

    @staticmethod
    def of(window: int, causal: bool) -> "Band":
        """``window`` keys in all, the query's own included."""
        return Band(window - 1, 0) if causal else Band(window // 2, (window - 1) // 2)

    def within(self, length: int) -> "Band":
        """The same band, no wider than ``length`` can fill."""
        return Band(min(self.left, length - 1), min(self.right, length - 1))


def block_size(band: Band, length: int) -> int:
    """Queries per block: narrow wastes few keys, wide copies few of them and keeps a core busy.

    Measured on a CPU, forward and backward: 32 is best for windows up to 64, 128 for 512.
    """
    window = band.left + 1 + band.right
    size = max(32, window // 4, min(window // 2, 128))
    return min(length, -(-size // 16) * 16)


def blocked(q: Tensor, k: Tensor, v: Tensor, band: Band, keep: Tensor | None) -> Tensor:
    """Each block of c queries meets the c + left + right keys that they can see together.

    ``q``, ``k``, ``v`` (b, h, l, e); ``keep`` (b, l) says which keys are real.
    """
    heads, length = q.shape[1:3]
    band = band.within(length)
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


def spans(x: Tensor, band: Band, size: int) -> Tensor:
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


def reference(q: Tensor, k: Tensor, v: Tensor, band: Band, keep: Tensor | None) -> Tensor:
    """The equation as it stands, with a dense mask, scores in at least float32."""
    exact = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(exact) @ k.to(exact).mT / q.shape[-1] ** 0.5  # (b, h, l, l)
    key = torch.arange(k.shape[2], device=q.device)
    at = key[:, None]
    seen = (key >= at - band.left) & (key <= at + band.right)
    if keep is not None:
        seen = seen & keep[:, None, None] | (key == at)
    scores = scores.masked_fill(~seen, -torch.inf)
    y: Tensor = scores.softmax(dim=-1) @ v.to(exact)
    return y.to(q.dtype)
