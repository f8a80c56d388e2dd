"""Rotary positions of a grid: half of each head turns with the row, half with the column."""

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

import zoo
from zoo_position.grid import grid_width, rows_columns
from zoo_position.turning import Base, even_width, frequencies, places, turned


class Rope2D(zoo.QueryKeyPosition):
    """Axial rope with the frequencies base^(-4i/e), i < e/4, on both axes (Heo et al. 2024).

    Their base of 100 suits the short sides of images; EVA-02 and Pixtral take 10000. Rows take the
    first half of the head and columns the second, each half-split into pairs; the product depends
    on both distances only. Token t of a grid of ``width`` columns is at row t // width and column
    t % width, at any length; without ``width`` the task's longest sequence is taken for a square.

    Raises ZooError when heads are no multiple of 4 wide, or the width is not given nor found.
    """

    paper = "Heo et al. 2024, arXiv:2403.13298"

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        max_length: PositiveInt | None = None,
        width: PositiveInt | None = None,
        base: Base = 100.0,
    ) -> None:
        super().__init__()
        self.axis_width = even_width("rope_2d", dim, heads, multiple=4) // 2
        self.columns, self.base = grid_width("rope_2d", width, max_length), base

    def forward(
        self, q: Float[Tensor, "b h l e"], k: Float[Tensor, "b g l e"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l e"]]:
        at = places(q, start)
        frequency = frequencies(at, self.axis_width, self.base)
        angles = [axis[:, None] * frequency for axis in rows_columns(at, self.columns)]
        turns = [(angle.cos(), angle.sin()) for angle in angles]  # (l, e / 4) each
        q, k = (
            torch.cat([turned(z, *how) for z, how in zip(x.chunk(2, -1), turns, strict=True)], -1)
            for x in (q, k)
        )
        return q, k
