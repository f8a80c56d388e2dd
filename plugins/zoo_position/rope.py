"""Queries and keys turned by an angle that grows with the position."""

import torch
from jaxtyping import Float
from pydantic import PositiveFloat
from torch import Tensor

import zoo


class Rope(zoo.QueryKeyPosition):
    """Pair i of a head is turned by t / base^(2i/e) at position t (Su et al. 2021).

    So the product of a query and a key depends on their distance only. The pairs are (x_i,
    x_(i+e/2)), the half-split layout of GPT-NeoX. Raises ZooError when a head is of odd width.
    """

    paper = "Su et al. 2021, arXiv:2104.09864"

    def __init__(self, dim: int, heads: int, *, base: PositiveFloat = 10000.0) -> None:
        super().__init__()
        if dim % heads or (dim // heads) % 2:
            raise zoo.ZooError(
                f"position=rope turns pairs, but dim={dim} with heads={heads} gives heads of width "
                f"{dim / heads:g}; dim must be a multiple of {2 * heads}: try "
                f"dim={-(-dim // (2 * heads)) * 2 * heads}"
            )
        self.width, self.base = dim // heads, base

    def forward(
        self, q: Float[Tensor, "b h l e"], k: Float[Tensor, "b g l e"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l e"]]:
        return self.turn(q, start), self.turn(k, start)

    def turn(self, x: Tensor, start: int) -> Tensor:
        """Each pair by its angle."""
        # bf16 has 8 bits: it could not tell position 256 from 257
        exact = torch.promote_types(x.dtype, torch.float32)
        at = torch.arange(start, start + x.shape[2], device=x.device, dtype=exact)
        even = torch.arange(0, self.width, 2, device=x.device, dtype=exact)
        angle = at[:, None] * self.base ** (-even / self.width)  # (l, e / 2)
        cos, sin = angle.cos(), angle.sin()
        real, imaginary = x.to(exact).chunk(2, dim=-1)
        turned = [real * cos - imaginary * sin, imaginary * cos + real * sin]
        return torch.cat(turned, dim=-1).to(x.dtype)
