"""The gated feed-forward layer."""

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import PositiveFloat
from torch import Tensor, nn

import zoo


class SwiGlu(zoo.Channel):
    """W2 (silu(W1 x) * W3 x), without biases (Shazeer 2020).

    The hidden width is round(expand * dim), at least 1; 8/3 makes it as large as an MLP of 4.
    """

    paper = "Shazeer 2020, arXiv:2002.05202"

    def __init__(self, dim: int, *, expand: PositiveFloat = 8 / 3) -> None:
        super().__init__()
        self.hidden = max(1, round(expand * dim))
        self.wide = nn.Linear(dim, 2 * self.hidden, bias=False)  # gate, then value
        self.narrow = nn.Linear(self.hidden, dim, bias=False)

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        gate, value = self.wide(x).chunk(2, dim=-1)
        y: Tensor = self.narrow(F.silu(gate) * value)
        return y

    def flops(self, batch: int, length: int) -> zoo.Flops:
        numbers = batch * length * self.hidden
        # a SiLU and a product are about 5 operations a number
        return zoo.Flops(6 * numbers * self.narrow.out_features, other=5 * numbers)
