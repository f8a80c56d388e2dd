"""Queries and keys turned by an angle that grows with the position."""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import zoo
from zoo_position.scaling import Scaling, Stretch
from zoo_position.turning import Base, even_width, frequencies, places, turned


class Rope(zoo.QueryKeyPosition):
    """Pair i of a head is turned by t / base^(2i/e) at position t (Su et al. 2021).

    So the product of a query and a key depends on their distance only. The pairs are (x_i,
    x_(i+e/2)), the half-split layout of GPT-NeoX. With ``fraction`` only so much of each head is
    turned, e being the width of that part (GPT-J; Black et al. 2022, arXiv:2204.06745).

    ``scaling`` makes what was trained at ``original_length`` fit ``factor`` times that length:
    ``linear``, ``ntk`` or ``yarn``, see ``Stretch``, where ``beta_fast``, ``beta_slow`` and
    ``temperature`` are told. Without ``original_length`` it is the task's longest over ``factor``.

    Raises ZooError when the part of a head that is turned is of odd width, or for a ``factor``
    without a scaling.
    """

    paper = "Su et al. 2021, arXiv:2104.09864"

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        max_length: PositiveInt | None = None,
        base: Base = 10000.0,
        fraction: Annotated[float, Field(gt=0, le=1)] = 1.0,
        scaling: Scaling = "none",
        factor: Annotated[float, Field(ge=1, le=1e6)] = 1.0,
        original_length: PositiveInt | None = None,
        beta_fast: PositiveFloat = 32.0,
        beta_slow: PositiveFloat = 1.0,
        temperature: PositiveFloat | None = None,
    ) -> None:
        super().__init__()
        self.width, self.base = turned_width(even_width("rope", dim, heads), fraction), base
        if scaling == "none" and factor != 1:
            raise zoo.ZooError(
                f"position.factor={factor:g} does nothing without a scaling; add "
                "position.scaling=linear, ntk or yarn"
            )
        if original_length is None and max_length is not None:
            original_length = max(1, round(max_length / factor))
        if original_length is None and scaling == "yarn":
            raise zoo.ZooError(
                "position.scaling=yarn needs the length of training; add position.original_length="
            )
        if beta_fast <= beta_slow:
            raise zoo.ZooError(
                f"position.beta_fast={beta_fast:g} must be more than position.beta_slow="
                f"{beta_slow:g}; try position.beta_fast=32 position.beta_slow=1"
            )
        self.stretch = Stretch(
            scaling, factor, original_length or 1, beta_fast, beta_slow, temperature
        )

    def forward(
        self, q: Float[Tensor, "b h l e"], k: Float[Tensor, "b g l e"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l e"]]:
        at = places(q, start)
        base = self.stretch.base(self.base, self.width)
        angle = at[:, None] * self.stretch(frequencies(at, self.width, base), self.base)
        size = self.stretch.size
        cos, sin = angle.cos() * size, angle.sin() * size  # (l, width / 2)
        return turned(q, cos, sin), turned(k, cos, sin)


def turned_width(width: int, fraction: float) -> int:
    """How many features of a head are turned; raises ZooError if they are not whole pairs."""
    part = round(width * fraction)
    if abs(part - width * fraction) < 1e-6 and part % 2 == 0:
        return part
    able = sorted(range(2, width + 1, 2), key=lambda n: abs(n - width * fraction))
    raise zoo.ZooError(
        f"position.fraction={fraction:g} of a head of width {width} is {width * fraction:g} "
        f"features, and only whole pairs can be turned; try position.fraction={able[0] / width}"
    )
