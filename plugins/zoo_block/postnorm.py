"""Norm after each half: the layer of the first transformer, which wants a warm-up."""

from collections.abc import Callable
from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

import zoo
from zoo_block.norm import Norm, build, normed


class PostNorm(zoo.Block):
    """norm(x + mix(x)), then norm(x + channel(x)) (Vaswani et al. 2017)."""

    paper = "Vaswani et al. 2017, arXiv:1706.03762"

    def __init__(
        self,
        mixer: zoo.Mixer,
        channel: zoo.Channel,
        dim: int,
        *,
        norm: Norm = "layer",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__(mixer, channel)
        self.after_mixer = build(norm, dim)
        self.after_channel = nn.Identity() if channel.empty else build(norm, dim)
        self.dropout = nn.Dropout(dropout)

    def layer(
        self,
        x: Float[Tensor, "... d"],
        mix: Callable[[Tensor], Tensor],
        real: Bool[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "... d"]:
        x = normed(self.after_mixer, x + self.dropout(mix(x)), real)
        if not self.channel.empty:
            x = normed(self.after_channel, x + self.dropout(self.channel(x)), real)
        return x
