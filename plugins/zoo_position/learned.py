"""One learned vector for each position, added to the embeddings."""

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo


class Learned(zoo.EmbeddingPosition):
    """x_t + p_t with p a table of ``max_length`` rows (Gehring et al. 2017; BERT and GPT-2 use it).

    Raises ZooError when shown a position beyond the table.
    """

    paper = "Gehring et al. 2017, arXiv:1705.03122"

    def __init__(self, dim: int, heads: int, *, max_length: PositiveInt) -> None:
        super().__init__()
        self.max_length = max_length
        self.table = nn.Parameter(torch.randn(max_length, dim))  # the scale of the embeddings

    def forward(self, x: Float[Tensor, "b l d"], start: int = 0) -> Float[Tensor, "b l d"]:
        end = start + x.shape[1]
        if end > self.max_length:
            raise zoo.ZooError(
                f"position=learned has {self.max_length} positions and was shown {end}; shorten "
                "the sequence, or take position=sinusoidal, which has no end"
            )
        return x + self.table[start:end].to(x.dtype)
