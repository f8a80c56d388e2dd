"""Attention within buckets: each query to the nearest keys of its own bucket, in some rounds.

A kernel runs as ``run(q, k, v, buckets, band) -> y``: ``q``, ``k``, ``v`` (b, h, l, e), ``buckets``
(b, h, r, l) numbers of buckets in r rounds of hashing. In a round a query sees, of the keys of its
bucket in their order, ``band.left`` before and ``band.right`` after its own; over the rounds one
softmax of q k^T over all keys seen, each once however often it was seen. A query's own key counts
only where it sees no other. So what a query sees depends on no other bucket, and with a right of 0
on nothing later: no chunk has an edge that later tokens could move.
"""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.autograd import Function

import zoo

ROOM = 2**22
"""Numbers of keys that may be copied side by side at a time."""
NOWHERE = -(2**30)
"""The place of a key off the ends: nobody can see it."""


class Turn(Function):
    """The rows of (b, h, l, e) in another order (b, h, l); ``back`` is the way back.

    Torch's own backward pass would add up rows though each comes once.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(order, back)
        return rows(x, order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        order, back = ctx.saved_tensors
        return turn(grad, back, order), None, None


def turn(x: Tensor, order: Tensor, back: Tensor) -> Tensor:
    """``Turn`` as a function."""
    turned: Tensor = Turn.apply(x, order, back)  # type: ignore[no-untyped-call]
    return turned


def rows(x: Tensor, at: Tensor) -> Tensor:
    """(b, h, l, e) at the rows (b, h, ...)."""
    heads = torch.arange(x.shape[0] * x.shape[1], device=x.device) * x.shape[2]
    flat = at.flatten(0, 1)
    flat = flat + heads.view(-1, *[1] * (flat.ndim - 1))
    picked = x.flatten(0, 2).index_select(0, flat.flatten())
    return picked.view(*at.shape, x.shape[3])


def inverse(order: Tensor) -> Tensor:
    """The permutation that undoes one along the last axis."""
    number = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, number)


def unit(q: Tensor) -> Tensor:
    """Of length one; 0 stays, in float16 too, where torch's own least length is 0."""
    return F.normalize(q, dim=-1, eps=max(1e-12, torch.finfo(q.dtype).tiny))


def chunk(band: zoo.ops.Band, length: int) -> int:
    """Queries in a chunk of sorted tokens, as many as a side of the band has keys."""
    return max(1, min(length, max(band)))


def chunked(q: Tensor, k: Tensor, v: Tensor, buckets: Tensor, band: zoo.ops.Band) -> Tensor:
    """Round by round: tokens sorted by bucket, in chunks that meet those beside them."""
    band = band.within(q.shape[2] + 1)
    order = buckets.sort(dim=-1, stable=True).indices
    back = inverse(order)
    # differences of places say who sees whom: no band reaches from one bucket into another
    place = (back + buckets * (sum(band) + 1)).int()
    ys, sums = [], []
    for r in range(buckets.shape[2]):
        ways = order[:, :, r], back[:, :, r]
        # the places of its tokens in this round, and in those before, whose pairs count no more
        here = ways[0][:, :, None].expand(-1, -1, r + 1, -1)
        places = place[:, :, : r + 1].gather(3, here)
        y, total = one_round(turn(q, *ways), turn(k, *ways), turn(v, *ways), places, band)
        ys.append(turn(y, *ways[::-1]))
        sums.append(turn(total, *ways[::-1]))
    return merge(ys, sums, v)


def one_round(
    q: Tensor, k: Tensor, v: Tensor, places: Tensor, band: zoo.ops.Band
) -> tuple[Tensor, Tensor]:
    """Of tokens in the order of their buckets: what each reads, and the logarithm of its sum.

    ``places`` (b, h, r, l) are of this round the last. Both results, (b, h, l, e) and (b, h, l, 1),
    leave out the own key and what an earlier round saw: 0 and -inf where nothing is left.
    """
    length = q.shape[2]
    size = chunk(band, length)
    before, after = (-(-min(side, length) // size) for side in band)
    there = beside(places[..., None], size, before, after, NOWHERE).flatten(-2)
    here = beside(places[..., None], size, 0, 0, 0)
    seen = here[:, :, -1] != there[:, :, -1, :, None]  # (b, h, n, c, s)
    seen = seen & within(here[:, :, -1], there[:, :, -1, :, None], band)
    for r in range(places.shape[2] - 1):
        seen = seen & ~within(here[:, :, r], there[:, :, r, :, None], band)
    queries = beside(q, size, 0, 0, 0)
    keys, values = (beside(z, size, before, after, 0) for z in (k, v))
    exact = torch.promote_types(q.dtype, torch.float32)
    scores = (queries @ keys.mT).to(exact).masked_fill(~seen, -torch.inf)
    y, total = softmax(scores, values)
    return y.flatten(2, 3)[:, :, :length], total.flatten(2, 3)[:, :, :length]


def within(query: Tensor, key: Tensor, band: zoo.ops.Band) -> Tensor:
    """Whether a query at one place sees a key at the other, or is that key's own."""
    return (query >= key - band.right) & (query <= key + band.left)


def softmax(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Means of values and the logarithms of the sums; 0 and -inf where every score is -inf."""
    least = torch.finfo(scores.dtype).min
    most = scores.detach().amax(-1, keepdim=True).clamp(min=least)
    weights = (scores - most).exp()
    total = weights.sum(dim=-1, keepdim=True)
    none = total == 0
    total = total.masked_fill(none, 1)  # its logarithm has a slope
    y = (weights.to(values.dtype) @ values) / total.to(values.dtype)
    return y, (total.log() + most).masked_fill(none, -torch.inf)


def beside(x: Tensor, size: int, before: int, after: int, fill: int) -> Tensor:
    """(..., l, e) in n chunks of ``size`` to (..., n, s, e), each with so many chunks beside it."""
    count = -(-x.shape[-2] // size)
    end = (count + after) * size - x.shape[-2]
    wide = F.pad(x, (0, 0, before * size, end), value=fill)
    tiles = rearrange(wide, "... (n c) e -> ... n c e", c=size)
    shifts = [tiles[..., i : i + count, :, :] for i in range(before + 1 + after)]
    return torch.cat(shifts, dim=-2)


def merge(ys: list[Tensor], sums: list[Tensor], own: Tensor) -> Tensor:
    """Softmaxes over disjoint keys (b, h, l, e) as one; ``own`` where all are over none."""
    sums_of_all = torch.stack(sums)
    least = torch.finfo(sums_of_all.dtype).min
    parts = (sums_of_all - sums_of_all.detach().amax(dim=0).clamp(min=least)).exp()
    total = parts.sum(dim=0)
    alone = total == 0
    weights = (parts / total.masked_fill(alone, 1)).to(own.dtype)
    y = torch.zeros_like(own)
    for weight, each in zip(weights, ys, strict=True):
        y = torch.addcmul(y, weight, each)
    return torch.where(alone, own, y)


def sorted_in(known: Tensor, order: Tensor, buckets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """New tokens (b, h, r, q) among known ones (b, h, r, t), which are sorted by bucket already.

    Returns all buckets in order, which tokens they are of, and where the new ones stand.
    """
    past, more = known.shape[-1], buckets.shape[-1]
    fresh, turned = buckets.sort(dim=-1, stable=True)
    number = torch.arange(past + more, device=buckets.device)
    # behind all known ones of their bucket, and of the new ones those that come before
    later = torch.searchsorted(known, fresh, right=True) + number[:more]
    earlier = torch.searchsorted(fresh, known) + number[:past]
    at = torch.cat([earlier, later], dim=-1)
    merged = torch.empty_like(at).scatter_(-1, at, torch.cat([known, fresh], dim=-1))
    which = torch.empty_like(at).scatter_(-1, at, torch.cat([order, turned + past], dim=-1))
    return merged, which, torch.empty_like(turned).scatter_(-1, turned, later)


def picked(
    q: Tensor,
    queries: Tensor,
    values: Tensor,
    order: Tensor,
    buckets: Tensor,
    rank: Tensor,
    window: int,
) -> Tensor:
    """What new tokens read of the ``window`` before them in their bucket, by copies of those.

    The new ones' queries ``q``, all tokens' queries and values; their ``order`` by bucket, the
    ``buckets`` in it and the ``rank`` of the new ones in it.
    """
    parts, window = [], min(window, queries.shape[2])
    size = max(1, ROOM // max(1, q.shape[0] * q.shape[1] * rank.shape[2] * window * q.shape[3]))
    own = buckets.gather(3, rank)
    for at in range(0, max(1, q.shape[2]), size):
        some = slice(at, at + size)
        near = rank[..., some, None] - torch.arange(1, window + 1, device=q.device)
        flat = near.clamp(min=0).flatten(3)
        same = buckets.gather(3, flat).view(near.shape) == own[..., some, None]
        which = order.gather(3, flat).view(near.shape).where(same & (near >= 0), -1)
        which = which.movedim(2, 3).flatten(3).sort(dim=-1).values  # (b, h, q, r w)
        again = F.pad(which[..., 1:] == which[..., :-1], (1, 0))
        at_rows = which.clamp(min=0)
        keys = unit(rows(queries, at_rows))
        scores = (keys @ q[:, :, some, :, None]).mT
        exact = torch.promote_types(q.dtype, torch.float32)
        scores = scores.to(exact).masked_fill((again | (which < 0))[..., None, :], -torch.inf)
        y, total = softmax(scores, rows(values, at_rows))
        first = queries.shape[2] - q.shape[2] + at
        alone = values[:, :, first : first + size]
        parts.append(torch.where(total[..., 0, :] == -torch.inf, alone, y[..., 0, :]))
    return torch.cat(parts, dim=2)


def reference(q: Tensor, k: Tensor, v: Tensor, buckets: Tensor, band: zoo.ops.Band) -> Tensor:
    """The same under a dense mask."""
    if not q.numel():
        return v
    exact = torch.promote_types(q.dtype, torch.float32)
    same = buckets[..., None] == buckets[..., None, :]  # (b, h, r, l, l)
    rank = same.tril(-1).sum(dim=-1)  # of a token in its bucket
    near = within(rank[..., None], rank[..., None, :], band)
    seen = (same & near).any(dim=2) & ~torch.eye(q.shape[2], dtype=torch.bool, device=q.device)
    scores = (q @ k.mT).to(exact).masked_fill(~seen, -torch.inf)
    y, total = softmax(scores, v)
    return torch.where(total == -torch.inf, v, y)


KERNELS = (zoo.Kernel("chunked", chunked), zoo.Kernel("reference", reference))
