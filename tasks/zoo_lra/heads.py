"""Heads of the arena: pool each sequence, put pairs together, hidden layers, logits."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

import zoo

Pooling = Literal["mean", "sum", "first", "last", "ends"]
Pair = Literal["none", "nli", "concat"]
WIDER: dict[Pair, int] = {"none": 1, "concat": 2, "nli": 4}
"""How many times as wide a pair's features are as one tower's."""


class ArenaHead(zoo.Head):
    """Logits of each sequence, or of each pair of them, through hidden ReLU layers.

    ``pooling``: the mean or the sum over real positions, the first (where a protocol has its CLS
    token), the last, or `ends`, first and last side by side. ``pair``: rows 2 i and 2 i + 1 are a
    and b; `nli` gives [a, b, a b, a - b] (Tay et al. 2020, arXiv 2011.04006), `concat` [a, b].
    ``hidden``: widths in multiples of ``dim``.
    """

    def __init__(
        self,
        dim: int,
        outputs: int,
        *,
        pooling: Pooling,
        hidden: tuple[float, ...] = (),
        pair: Pair = "none",
    ) -> None:
        super().__init__()
        self.pooling, self.pair = pooling, pair
        self.pooled = 2 * dim if pooling == "ends" else dim
        inner = [max(1, round(times * dim)) for times in hidden]
        self.widths = [self.pooled * WIDER[pair], *inner, outputs]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(self.widths))

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "n c"]:
        """(b, l, d) to (b, c), of pairs (b / 2, c); what stands in the padding has no part."""
        y = join(pool(x, lengths, self.pooling), self.pair)
        *hidden, last = self.linears
        for linear in hidden:
            y = F.relu(linear(y))
        logits: Tensor = last(y)
        return logits

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """``batch`` counts rows, so two for each pair."""
        examples = batch if self.pair == "none" else batch // 2
        matmul = sum(wide * narrow for wide, narrow in pairwise(self.widths))
        relu = sum(self.widths[1:-1])
        summed = batch * length * self.pooled if self.pooling in ("mean", "sum") else 0
        meeting = 2 * examples * self.pooled if self.pair == "nli" else 0
        return zoo.Flops(2 * examples * matmul, other=summed + meeting + examples * relu)


def pool(
    x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None, pooling: Pooling
) -> Float[Tensor, "b p"]:
    """One vector per sequence."""
    if pooling == "first":
        return x[:, 0]
    if pooling in ("last", "ends"):
        rows = torch.arange(len(x), device=x.device)
        last = x[rows, -1 if lengths is None else lengths - 1]
        return last if pooling == "last" else torch.cat([x[:, 0], last], dim=-1)
    if lengths is not None:
        place = torch.arange(x.shape[1], device=x.device)
        # masked_fill, not a product: a NaN in the padding must not reach the sum
        x = x.masked_fill((place >= lengths[:, None])[..., None], 0)
    if pooling == "sum":
        return x.sum(dim=1)
    return x.mean(dim=1) if lengths is None else x.sum(dim=1) / lengths[:, None].to(x.dtype)


def join(x: Float[Tensor, "b p"], pair: Pair) -> Float[Tensor, "n w"]:
    """The features of an example."""
    if pair == "none":
        return x
    a, b = x[::2], x[1::2]
    return torch.cat([a, b] if pair == "concat" else [a, b, a * b, a - b], dim=-1)
