"""Fixed sines and cosines of the row and the column, added to the embeddings."""

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

import zoo
from zoo_position.grid import grid_width, rows_columns
from zoo_position.sinusoidal import waves
from zoo_position.turning import Base, places


class Sinusoidal2D(zoo.EmbeddingPosition):
    """The sinusoids of the row in the first half of the features, of the column in the second.

    The layout is DETR's (Carion et al. 2020), sines and cosines by turns, without its scaling to 2
    pi and counted from 0; ViT's fixed ones (MAE's) have all sines before all cosines, and the
    column first. Token t of a grid of ``width`` columns is at row t // width and column t % width,
    at any length; without ``width`` the task's longest sequence is taken for a square, and ZooError
    raised if it is none.
    """

    paper = "Carion et al. 2020, arXiv:2005.12872"

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        max_length: PositiveInt | None = None,
        width: PositiveInt | None = None,
        base: Base = 10000.0,
    ) -> None:
        super().__init__()
        self.dim, self.base = dim, base
        self.columns = grid_width("sinusoidal_2d", width, max_length)

    def forward(self, x: Float[Tensor, "b l d"], start: int = 0) -> Float[Tensor, "b l d"]:
        row, column = rows_columns(places(x, start), self.columns)
        half = self.dim // 2
        axes = [waves(row, self.dim - half, self.base), waves(column, half, self.base)]
        return x + torch.cat(axes, dim=-1).to(x.dtype)
