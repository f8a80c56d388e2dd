"""No feed-forward half, for layers that do it themselves (Mamba) or not at all."""

from jaxtyping import Float
from torch import Tensor

import zoo


class Nothing(zoo.Channel):
    """Adds nothing to the residual stream; a block leaves it out, its norm too."""

    empty = True

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        return x.new_zeros(x.shape)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(0)
