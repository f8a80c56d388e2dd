"""Fixed sines and cosines added to the embeddings."""

import torch
from jaxtyping import Float
from pydantic import PositiveFloat
from torch import Tensor

import zoo


class Sinusoidal(zoo.EmbeddingPosition):
    """x_t + p_t, p_t[2i] = sin(t / base^(2i/d)), p_t[2i+1] = cos of the same (Vaswani et al. 2017).

    Nothing is learned and no length is too long.
    """

    paper = "Vaswani et al. 2017, arXiv:1706.03762"

    def __init__(self, dim: int, heads: int, *, base: PositiveFloat = 10000.0) -> None:
        super().__init__()
        self.dim, self.base = dim, base

    def forward(self, x: Float[Tensor, "b l d"], start: int = 0) -> Float[Tensor, "b l d"]:
        # bf16 has 8 bits: it could not tell position 256 from 257
        exact = torch.promote_types(x.dtype, torch.float32)
        at = torch.arange(start, start + x.shape[1], device=x.device, dtype=exact)
        even = torch.arange(0, self.dim, 2, device=x.device, dtype=exact)
        angle = at[:, None] * self.base ** (-even / self.dim)  # (l, ceil(d / 2))
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, : self.dim]  # (l, d)
        return x + table.to(x.dtype)
