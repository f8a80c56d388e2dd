"""Attention of each query to blocks of keys that were chosen for it, and its kernels.

Each runs as ``run(q, k, v, chosen, block, causal, lengths=None, start=0) -> y``: queries (b, h, l,
e) at positions start, start + 1, ...; keys and values (b, g, t, e) from position 0 on; ``chosen``
(b, i, l, n) are numbers of blocks of ``block`` keys, all different, -1 for none. There are one or
more rows of choices for each head of keys, each shared by h / i heads of queries: g divides i, i
divides h. One softmax over all keys of the blocks, if ``causal`` those up to the query's position,
and if there are ``lengths`` (b,) those that are no padding. The choice has no gradient.
"""

from math import ceil

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import zoo

ROOM = 2**22
"""Numbers of keys that may be copied side by side at a time."""


def positions(chosen: Tensor, block: int) -> Tensor:
    """(..., n) blocks to the positions (..., n * block) of their keys, negative for none."""
    at = chosen[..., None] * block + torch.arange(block, device=chosen.device)
    return at.flatten(-2)


def visible(at: Tensor, length: int, causal: bool, lengths: Tensor | None, first: int) -> Tensor:
    """Which keys, at positions (b, i, q, s), the queries at positions first, ... can see."""
    seen = (at >= 0) & (at < length)
    if causal:
        query = torch.arange(first, first + at.shape[2], device=at.device)
        seen = seen & (at <= query[:, None])
    if lengths is not None:
        seen = seen & (at < lengths.to(at.device)[:, None, None, None])
    return seen


def gathered(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    block: int,
    causal: bool,
    lengths: Tensor | None = None,
    start: int = 0,
) -> Tensor:
    """By copies of the chosen blocks, made for a few queries at a time, and again backwards."""
    block = fitting(block, k)
    rows, keys = chosen.shape[1], chosen.shape[3] * block
    size = max(1, ROOM // max(1, len(q) * rows * keys * q.shape[3]))
    blocks = in_blocks(k, block), in_blocks(v, block)
    parts = []
    for at in range(0, q.shape[2], size):
        here = slice(at, at + size)
        some = q[:, :, here], *blocks, chosen[:, :, here], block, k.shape[2]
        rest = causal, lengths, start + at
        if torch.is_grad_enabled() and size < q.shape[2]:
            parts.append(checkpoint(few, *some, *rest, use_reentrant=False))
        else:
            parts.append(few(*some, *rest))
    return torch.cat(parts, dim=2) if parts else q


def fitting(block: int, k: Tensor) -> int:
    """No larger a block than all keys: one that holds more holds no others."""
    return max(1, min(block, k.shape[2]))


def in_blocks(x: Tensor, block: int) -> Tensor:
    """(b, g, t, e) to (b, g, n, block * e), zeros after the last key."""
    padded = F.pad(x, (0, 0, 0, -x.shape[2] % block))
    return rearrange(padded, "b g (n c) e -> b g n (c e)", c=block)


def few(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    block: int,
    length: int,
    causal: bool,
    lengths: Tensor | None,
    first: int,
) -> Tensor:
    """Some queries, whose chosen blocks fit side by side; keys and values come in blocks."""
    batch, rows, some, _ = chosen.shape
    groups, blocks, width = k.shape[1], k.shape[2], q.shape[3]
    head = torch.arange(batch * rows, device=q.device) // (rows // groups)
    source = chosen.clamp(min=0).flatten(0, 1) + head[:, None, None] * blocks  # (b i, q, n)
    shape = (batch, rows, some, -1, width)
    keys, values = (F.embedding(source, z.flatten(0, 2)).view(shape) for z in (k, v))
    seen = visible(positions(chosen, block), length, causal, lengths, first)
    queries = rearrange(q, "b (i m) q e -> b i q m e", i=rows)
    scores = queries @ keys.mT / width**0.5  # (b, i, q, m, s)
    # the least number rather than -inf: a query of the padding may see no key at all
    scores = scores.masked_fill(~seen[..., None, :], torch.finfo(scores.dtype).min)
    y: Tensor = scores.softmax(dim=-1) @ values
    return rearrange(y, "b i q m e -> b (i m) q e")


def reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    block: int,
    causal: bool,
    lengths: Tensor | None = None,
    start: int = 0,
) -> Tensor:
    """softmax(q k^T / sqrt(e)) v under a dense mask, in at least float32."""
    exact = torch.promote_types(q.dtype, torch.float32)
    length, blocks = k.shape[2], ceil(k.shape[2] / block)
    some = chosen.new_zeros(*chosen.shape[:3], blocks + 1, dtype=torch.bool)
    some = some.scatter(3, chosen.where(chosen >= 0, blocks), True)[..., :blocks]
    at = torch.arange(length, device=q.device)
    seen = some.repeat_interleave(block, dim=3)[..., :length]
    seen = seen & visible(at.expand(*seen.shape), length, causal, lengths, start)
    seen = seen.repeat_interleave(q.shape[1] // chosen.shape[1], dim=1)
    k, v = (z.to(exact).repeat_interleave(q.shape[1] // k.shape[1], dim=1) for z in (k, v))
    scores = q.to(exact) @ k.mT / q.shape[3] ** 0.5
    scores = scores.masked_fill(~seen, torch.finfo(exact).min)
    y: Tensor = scores.softmax(dim=-1) @ v
    return y.to(q.dtype)


def compiled(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    block: int,
    causal: bool,
    lengths: Tensor | None = None,
    start: int = 0,
) -> Tensor:
    """By the loops that Numba compiles, in float32, or float64 where that came."""
    from zoo_sparse.selected_compiled import selected as operator  # numba may be missing

    block, wide = fitting(block, k), torch.promote_types(q.dtype, torch.float32)
    ends = torch.full((len(q),), k.shape[2]) if lengths is None else lengths.long()
    y: Tensor = operator(q.to(wide), k.to(wide), v.to(wide), chosen, ends, block, causal, start)[0]
    return y.to(q.dtype)


KERNELS = (
    zoo.Kernel("numba", compiled, zoo.ops.fused.missing, zoo.ops.fused.refuses),
    zoo.Kernel("gathered", gathered),
    zoo.Kernel("reference", reference),
)
