"""Attention to summaries of blocks of keys, which also says which blocks matter."""

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor, nn


class Compress(nn.Module):
    """A summary of each block of ``size`` tokens, one starting every ``stride`` tokens.

    An MLP (ReLU, width ``hidden``) of the tokens side by side, each with what its place in the
    block adds. The same MLP for all heads, with places of their own. The first layer has no bias:
    what the places add passes through it.
    """

    def __init__(self, width: int, heads: int, size: int, stride: int, hidden: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.place = nn.Parameter(torch.zeros(heads, size, width))
        self.inner = nn.Linear(size * width, hidden, bias=False)
        self.outer = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "b g l e"]) -> Float[Tensor, "b g n e"]:
        blocks, shifts = self.blocks(x.shape[2]), self.size // self.stride
        if not blocks:
            return x[:, :, :0]
        cut = x[:, :, : (blocks + shifts - 1) * self.stride]
        tiles = rearrange(cut, "b g (n c) e -> b g n c e", c=self.stride)
        # shifted tiles side by side: the backward of unfold adds one number at a time
        near = torch.cat([tiles[:, :, i : i + blocks] for i in range(shifts)], dim=3)
        near = near + self.place[:, None]
        summary: Tensor = self.outer(F.relu(self.inner(near.flatten(3))))
        return summary

    def blocks(self, length: int) -> int:
        """Whole ones in so many tokens."""
        return max(0, (length - self.size) // self.stride + 1)

    def flops(self, length: int) -> int:
        """Of products of matrices, in one head of one row."""
        return 2 * self.blocks(length) * (self.inner.weight.numel() + self.outer.weight.numel())


def coarse(
    q: Float[Tensor, "b h l e"],
    k: Float[Tensor, "b g n e"],
    v: Float[Tensor, "b g n e"],
    sees: Int[Tensor, " l"],
) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l n"]]:
    """Attention of each query to the first ``sees`` keys, 0 for none; and its weights.

    The weights are summed over the queries that share a head of keys, and carry no gradient.
    """
    groups, heads = k.shape[1], q.shape[1]
    queries = rearrange(q, "b (g m) l e -> b g (m l) e", g=groups)
    scores = rearrange(queries @ k.mT, "b g (m l) n -> b g m l n", m=heads // groups)
    hidden = torch.arange(k.shape[2], device=q.device) >= sees[:, None]
    scores = (scores / q.shape[3] ** 0.5).masked_fill(hidden, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).masked_fill(hidden, 0)
    y = rearrange(weights, "b g m l n -> b g (m l) n") @ v
    exact = torch.promote_types(q.dtype, torch.float32)
    total = weights.detach().sum(dim=2, dtype=exact)
    return rearrange(y, "b g (m l) e -> b (g m) l e", m=heads // groups), total


def importance(
    weights: Float[Tensor, "b g l n"], *, size: int, stride: int, block: int, blocks: int
) -> Float[Tensor, "b g l blocks"]:
    """Weights of summaries as weights of ``blocks`` blocks of ``block`` tokens.

    A summary, of ``size`` tokens every ``stride``, counts once for each ``stride`` tokens that it
    shares with the block (equation 9 of the paper of NSA).
    """
    shifts, parts = size // stride, blocks * block // stride
    wide = F.pad(weights, (shifts - 1, parts - weights.shape[-1]))
    each = torch.stack([wide[..., i : i + parts] for i in range(shifts)]).sum(dim=0)
    return reduce(each, "b g l (n c) -> b g l n", "sum", c=block // stride)
