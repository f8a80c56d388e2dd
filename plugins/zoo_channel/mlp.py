"""The plain feed-forward layer."""

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import PositiveFloat
from torch import Tensor, nn

import zoo


class Mlp(zoo.Channel):
    """W2 gelu(W1 x + b1) + b2 (Vaswani et al. 2017, with the GELU of Hendrycks and Gimpel 2016).

    The hidden width is round(expand * dim), at least 1.
    """

    paper = "Vaswani et al. 2017, arXiv:1706.03762"

    def __init__(self, dim: int, *, expand: PositiveFloat = 4.0) -> None:
        super().__init__()
        hidden = max(1, round(expand * dim))
        self.wide, self.narrow = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        y: Tensor = self.narrow(F.gelu(self.wide(x)))
        return y

    def flops(self, batch: int, length: int) -> zoo.Flops:
        hidden, dim = self.wide.weight.shape
        # an erf-GELU is about 8 operations a number
        return zoo.Flops(4 * batch * length * dim * hidden, other=8 * batch * length * hidden)
