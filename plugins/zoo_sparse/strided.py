"""The Sparse Transformer's strided pattern: tokens in rows see a row's width and their column."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Int
from torch import Tensor

import zoo
from zoo_sparse.gathered import gathered
from zoo_sparse.pattern import Pattern, Sparsity


@dataclass(frozen=True)
class Strided(Pattern):
    """Keys less than ``stride`` away, and those a multiple of it away."""

    stride: int

    def sees(self, query_at: Int[Tensor, "..."], key_at: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        distance = key_at - query_at
        return (distance.abs() < self.stride) | (distance % self.stride == 0)

    def rows(self, start: int, stop: int, device: torch.device) -> Int[Tensor, "n c"]:
        return torch.arange(start, stop, device=device)[:, None]  # no two see the same column

    def keys(self, rows: Int[Tensor, "n c"], total: int) -> Int[Tensor, "n s"]:
        column = torch.arange(-(-total // self.stride), device=rows.device) * self.stride
        far = rows % self.stride + column
        near = rows + torch.arange(1 - self.stride, self.stride, device=rows.device)
        return torch.cat([near, far.masked_fill(far == rows, -1)], dim=1)


def strided(q: Tensor, k: Tensor, v: Tensor, bias: Sparsity) -> Tensor:
    """One softmax over the scores of two products: with the rows around, and down the column.

    ``q`` (b, h, q, e), ``k`` and ``v`` (b, g, k, e) with all keys of the past; l sqrt(l) scores.
    """
    assert isinstance(bias.pattern, Strided)
    length, total = q.shape[2], k.shape[2]
    if length <= 1:
        return gathered(q, k, v, bias)
    stride = min(bias.pattern.stride, total)  # a wider row holds no more
    first, rows = bias.start // stride, -(-total // stride)  # of the queries' rows; of all
    early, end = bias.start - first * stride, rows * stride - total
    q, k, v = (
        rearrange(F.pad(x, (0, 0, pad, end)), "b h (m p) e -> b h m p e", p=stride)
        for x, pad in ((q, early), (k, 0), (v, 0))
    )
    scaled = q / q.shape[-1] ** 0.5
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    near_k, near_v = (around(x, first, bias.causal) for x in (k, v))
    near = einsum(scaled, near_k, "b h m p e, b h m j e -> b h m p j")
    far = einsum(scaled, k, "b h m p e, b h n p e -> b h m p n")
    at = torch.arange(first * stride, rows * stride, device=q.device).view(-1, stride)  # (m, p)
    near_at = at[:, :1] + torch.arange(-stride, near_k.shape[3] - stride, device=q.device)
    far_at = torch.arange(rows * stride, device=q.device).view(-1, stride).t()  # (p, n)
    near_seen = (near_at[:1, None] - at[:1, :, None]).abs() < stride  # alike in all rows
    far_seen = far_at[:1, None] != at.t()[:1, :, None]  # its own key is near; alike in all columns
    near = masked(near, near_seen, q, at, near_at, bias, total)
    far = masked(far.transpose(2, 3), far_seen, q.transpose(2, 3), at.t(), far_at, bias, total)
    scores = torch.cat([near, far.transpose(2, 3)], dim=-1)
    weight = scores.softmax(dim=-1).to(v.dtype)
    span = near_k.shape[3]
    y = einsum(weight[..., :span], near_v, "b h m p j, b h m j e -> b h m p e")
    y = y + einsum(weight[..., span:], v, "b h m p n, b h n p e -> b h m p e")
    return rearrange(y, "b h m p e -> b h (m p) e")[:, :, early : early + length]


def around(x: Tensor, first: int, causal: bool) -> Tensor:
    """(b, h, n, p, e) to (b, h, m, j, e): each row from ``first`` on with the one before, and the
    one after if it may be seen; zeros off the ends.
    """
    x = F.pad(x, (0, 0, 0, 0, 1, 0 if causal else 1))
    rows = x.shape[2] - (1 if causal else 2)
    return torch.cat([x[:, :, first + i : rows + i] for i in range(2 if causal else 3)], dim=3)


def masked(
    scores: Tensor,
    seen: Tensor,
    q: Tensor,
    query_at: Tensor,
    key_at: Tensor,
    bias: Sparsity,
    total: int,
) -> Tensor:
    """Scores (b, h, r, a, c) of queries ``q`` at (r, a) and keys at (r, c), with their biases.

    They are -inf where the key is not ``seen`` (1, a, c), or is hidden by direction or padding. A
    filler has one key.
    """
    at, to = query_at[..., None], key_at[:, None]
    if bias.causal:
        seen = seen & (to[:1] <= at[:1])
    there = (to >= 0) & (to < total)
    seen = bias.real(seen & (there | (to == at)), at, to)
    if isinstance(bias.position, zoo.RelativePosition):
        scores = scores + bias.position(q, query_at[:1], key_at[:1])
    elif isinstance(bias.position, zoo.ScorePosition):
        scores = scores + bias.position(q, query_at, key_at)
    return scores.masked_fill(~seen, -torch.inf)
