"""Heads: features to logits. Most tasks take one of these two."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.flops import Flops
from zoo.nn import real_positions

Pooling = Literal["mean", "last", "first"]


class Head(nn.Module, ABC):
    """What a task puts on the backbone."""

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b *l c"]:
        """Logits per position or per sequence."""

    @abstractmethod
    def flops(self, batch: int, length: int) -> Flops:
        """Closed form of one forward pass."""


class TokenHead(Head):
    """Logits at every position."""

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, outputs)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l c"]:
        logits: Tensor = self.linear(x)
        return logits

    def flops(self, batch: int, length: int) -> Flops:
        return Flops(2 * batch * length * self.linear.weight.numel())


class PooledHead(Head):
    """Logits per sequence: the mean, the last or the first real position, then linear."""

    def __init__(self, dim: int, outputs: int, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = nn.Linear(dim, outputs)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b c"]:
        logits: Tensor = self.linear(pool(x, lengths, self.pooling))
        return logits

    def flops(self, batch: int, length: int) -> Flops:
        return Flops(2 * batch * self.linear.weight.numel(), other=batch * length)


def pool(
    x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None, pooling: Pooling
) -> Float[Tensor, "b d"]:
    """One vector per sequence; the padding has no part in it."""
    if pooling == "first":
        return x[:, 0]
    if lengths is None:
        return x.mean(dim=1) if pooling == "mean" else x[:, -1]
    if pooling == "last":
        return x[torch.arange(len(x), device=x.device), lengths - 1]
    real = real_positions(lengths, x)
    # masked_fill, not a product: a NaN in the padding must not reach the sum
    return x.masked_fill(~real[..., None], 0).sum(dim=1) / lengths[:, None].to(x.dtype)
