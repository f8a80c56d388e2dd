"""Rotary positions whose products also fade with the distance."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import zoo
from zoo_position.turning import Base, even_width, frequencies, places, turned

LIMIT = 40.0
"""The largest exponent: e^40 times e^40, of a masked pair, still is a float32."""


class XPos(zoo.QueryKeyPosition):
    """Rope, and pair i of the product fades as zeta_i^((n - m) / scale_base) (Sun et al. 2022).

    zeta_i = (2i/e + gamma) / (1 + gamma) < 1; queries at n are multiplied by zeta^((n - c) /
    scale_base), keys at m by zeta^(-(m - c) / scale_base), as only n - m matters. It fades towards
    the past and would grow towards the future, so it is causal.

    The authors take the middle of each call for c, and cached keys would need a new one each time.
    Here c is the middle of ``max_length``, once and for all, and the factors stop at e^-40 and
    e^40: what a single product of matrices in float32 (or bf16) cannot hold, since the masked pairs
    of the future grow as the others fade. With gamma 0.4 and scale_base 512 the fastest fading pair
    is exact 16,348 positions from c on either side, the slower half of them 46,000 and more; beyond
    that a pair fades no further, and is plain rope.

    Raises ZooError when a head is of odd width.
    """

    paper = "Sun et al. 2022, arXiv:2212.10554"
    directions = frozenset({"causal"})

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        max_length: PositiveInt = 1024,
        base: Base = 10000.0,
        scale_base: Annotated[float, Field(ge=1)] = 512.0,
        gamma: PositiveFloat = 0.4,
    ) -> None:
        super().__init__()
        self.width, self.base = even_width("xpos", dim, heads), base
        self.centre, self.scale_base, self.gamma = max_length // 2, scale_base, gamma

    def forward(
        self, q: Float[Tensor, "b h l e"], k: Float[Tensor, "b g l e"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l e"]]:
        at = places(q, start)
        angle = at[:, None] * frequencies(at, self.width, self.base)
        cos, sin = angle.cos(), angle.sin()  # (l, e / 2)
        even = torch.arange(0, self.width, 2, device=q.device, dtype=at.dtype)
        # -ln zeta, all of it positive
        fade = log(1 + self.gamma) - torch.log(even / self.width + self.gamma)
        exponent = (at - self.centre)[:, None] * (fade / self.scale_base)
        less, more = (x.clamp(-LIMIT, LIMIT).exp() for x in (-exponent, exponent))
        return turned(q, cos * less, sin * less), turned(k, cos * more, sin * more)
