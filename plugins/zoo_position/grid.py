"""Sequences that are grids, read row by row."""

from math import isqrt

import torch
from torch import Tensor

import zoo


def grid_width(name: str, width: int | None, max_length: int | None) -> int:
    """``width``, or the side of a square of ``max_length``; raises ZooError if that is none."""
    if width is not None:
        return width
    if max_length is not None and isqrt(max_length) ** 2 == max_length:
        return isqrt(max_length)
    why = "was told no length" if max_length is None else f"and {max_length} is no square"
    raise zoo.ZooError(
        f"position={name} needs the width of the grid, {why}; add position.width=, the number of "
        "columns"
    )


def rows_columns(at: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The row and the column of each token of ``at``."""
    row = torch.div(at, width, rounding_mode="floor")
    return row, at - row * width
