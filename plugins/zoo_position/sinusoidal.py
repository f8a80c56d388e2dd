"""Fixed sines and cosines added to the embeddings."""

import torch
from jaxtyping import Float
from torch import Tensor

import zoo
from zoo_position.turning import Base, frequencies, places


class Sinusoidal(zoo.EmbeddingPosition):
    """x_t + p_t, p_t[2i] = sin(t / base^(2i/d)), p_t[2i+1] = cos of the same (Vaswani et al. 2017).

    Nothing is learned and no length is too long.
    """

    paper = "Vaswani et al. 2017, arXiv:1706.03762"

    def __init__(self, dim: int, heads: int, *, base: Base = 10000.0) -> None:
        super().__init__()
        self.dim, self.base = dim, base

    def forward(self, x: Float[Tensor, "b l d"], start: int = 0) -> Float[Tensor, "b l d"]:
        return x + waves(places(x, start), self.dim, self.base).to(x.dtype)


def waves(at: Tensor, width: int, base: float) -> Tensor:
    """(l,) to (l, width): sines and cosines by turns."""
    angle = at[:, None] * frequencies(at, width, base)  # (l, ceil(width / 2))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]
