"""Norm before each half: the layer that trains without care."""

from collections.abc import Callable
from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

import zoo
from zoo_block.norm import Norm, build, normed


class PreNorm(zoo.Block):
    """x + mix(norm(x)), then x + channel(norm(x)) (Xiong et al. 2020)."""

    paper = "Xiong et al. 2020, arXiv:2002.04745"

    def __init__(
        self,
        mixer: zoo.Mixer,
        channel: zoo.Channel,
        dim: int,
        *,
        norm: Norm = "rms",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__(mixer, channel)
        self.before_mixer = build(norm, dim)
        self.before_channel = nn.Identity() if channel.empty else build(norm, dim)
        self.dropout = nn.Dropout(dropout)

    def layer(
        self,
        x: Float[Tensor, "... d"],
        mix: Callable[[Tensor], Tensor],
        real: Bool[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "... d"]:
        x = x + self.dropout(mix(normed(self.before_mixer, x, real)))
        if not self.channel.empty:
            x = x + self.dropout(self.channel(normed(self.before_channel, x, real)))
        return x
