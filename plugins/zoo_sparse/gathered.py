"""Sparse attention by gathering: each row of queries meets the few keys that its pattern names."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

import zoo
from zoo_sparse.pattern import Sparsity


def gathered(q: Tensor, k: Tensor, v: Tensor, bias: Sparsity) -> Tensor:
    """softmax(q k^T / sqrt(e) + bias) v of ``q`` (b, h, q, e), ``k`` and ``v`` (b, g, k, e).

    The cost is that of the rows and their keys; nothing else grows with the length.
    """
    length = q.shape[2]
    if not q.numel():
        return q
    wide = 0 if bias.causal else min(bias.pattern.wide, length)
    parts = [everything(q[:, :, :wide], k, v, bias)] if wide else []
    if wide < length:
        parts.append(in_rows(q[:, :, wide:], k, v, bias, bias.start + wide))
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]


def in_rows(q: Tensor, k: Tensor, v: Tensor, bias: Sparsity, start: int) -> Tensor:
    """Of queries that begin at ``start``, row by row."""
    batch, length = len(q), q.shape[2]
    stop = start + length
    query_at = bias.pattern.rows(start, stop, q.device)  # (n, c)
    key_at = bias.pattern.keys(query_at, stop)  # (n, s)
    mine = (query_at >= start) & (query_at < stop)
    row, there = slots(key_at, k.shape[2], stop, bias)
    queries = take(q, (query_at - start).clamp(0, length - 1))
    y = fused(
        queries, take(k, row), take(v, row), mask(queries, query_at, key_at, mine, there, bias)
    )
    y = rearrange(y, "(b n) h c e -> b (n c) h e", b=batch)
    # the fillers come last
    order = query_at.masked_fill(~mine, stop).flatten().argsort()[:length]
    return y.index_select(1, order).transpose(1, 2)


def slots(key_at: Tensor, cached: int, stop: int, bias: Sparsity) -> tuple[Tensor, Tensor]:
    """Where the keys of these positions lie, and whether they are there at all."""
    if cached == stop:
        return key_at.clamp(0, stop - 1), (key_at >= 0) & (key_at < stop)
    kept = bias.pattern.kept(bias.start, key_at.device)
    assert kept is not None
    held = torch.cat([kept, torch.arange(bias.start, stop, device=key_at.device)])
    row = torch.searchsorted(held, key_at).clamp(max=cached - 1)
    return row, held[row] == key_at


def take(x: Tensor, row: Tensor) -> Tensor:
    """(b, g, l, e) and (n, s) to (b n, g, s, e)."""
    if row.numel() < x.shape[2]:  # a step, far from all of the cache
        return rearrange(x.index_select(2, row.flatten()), "b g (n s) e -> (b n) g s e", n=len(row))
    chosen = x.transpose(1, 2).contiguous().index_select(1, row.flatten())
    return rearrange(chosen, "b (n s) g e -> (b n) g s e", n=len(row))


def mask(
    queries: Tensor, query_at: Tensor, key_at: Tensor, mine: Tensor, there: Tensor, bias: Sparsity
) -> Tensor:
    """(b n, 1 or h, c, s): what a query sees, or what is added to its scores; a filler sees all."""
    pattern, batch = bias.pattern, len(queries) // len(query_at)
    at, to = query_at[..., None], key_at[:, None]
    # distances are those of the first row
    near = (at[:1], to[:1]) if pattern.uniform else (at, to)
    seen = there[:, None] if pattern.exact else there[:, None] & pattern.sees(*near)
    if bias.causal:
        seen = seen & (near[1] <= near[0])
    seen = bias.real(seen, at, to) | ~mine[..., None]  # (n, c, s) or (b, 1, n, c, s)
    seen = seen[(None,) * (5 - seen.ndim)]
    if isinstance(bias.position, zoo.ScorePosition):
        alike = pattern.uniform and isinstance(bias.position, zoo.RelativePosition)
        at, to = (query_at[:1], key_at[:1]) if alike else (query_at, key_at)
        asking = rearrange(queries, "(b n) h c e -> b h n c e", b=batch)
        seen = bias.position(asking, at, to).masked_fill(~seen, -torch.inf).to(queries.dtype)
    whole: Tensor = rearrange(seen.expand(batch, *seen.shape[1:]), "b h n c s -> (b n) h c s")
    return whole


def everything(q: Tensor, k: Tensor, v: Tensor, bias: Sparsity) -> Tensor:
    """Of the first queries of a sequence, which see all of it."""
    query_at = torch.arange(q.shape[2], device=q.device)[:, None]
    key_at = torch.arange(k.shape[2], device=q.device)
    seen = None
    if bias.lengths is not None:
        seen = bias.real(torch.ones_like(query_at * key_at, dtype=torch.bool), query_at, key_at)
    if not isinstance(bias.position, zoo.ScorePosition):
        return fused(q, k, v, seen)
    added = bias.position(q, query_at[:, 0], key_at)
    return fused(q, k, v, (added if seen is None else added.masked_fill(~seen, -torch.inf)).to(q))


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Torch's call, for keys with fewer heads too."""
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1]
    )
