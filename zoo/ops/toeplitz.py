"""A matrix whose entries the distance alone decides, from one table of distances."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 64
"""Rows whose gradients are summed at once: few are many calls, many are a long copy."""


def toeplitz(table: Tensor, rows: int) -> Tensor:
    """(h, k + q - 1) to (h, q, k), q = ``rows``: row i is the table from q - 1 - i on.

    No rows at all come of the table of one.

    First derivatives only: torch's own backward of the view adds one number at a time.
    """
    dense: Tensor = Toeplitz.apply(table, max(rows, 1))  # type: ignore[no-untyped-call]
    return dense if rows else dense[:, :0]


class Toeplitz(torch.autograd.Function):
    """The adjoint sums the diagonals."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: int) -> Tensor:
        """One copy, of a view that has the rows from the last to the first."""
        ctx.rows = rows
        return table.unfold(-1, table.shape[-1] - rows + 1, 1).flip(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """A few rows at a time, each shifted by one against the next as they are laid out."""
        heads, rows, columns = grad.shape
        exact = torch.promote_types(grad.dtype, torch.float32)  # of bf16, many summands are lost
        total = grad.new_zeros(heads, rows + columns, dtype=exact)
        for done in range(0, rows, ROWS):
            part = grad[:, done : done + ROWS]
            few = part.shape[1]
            skewed = part.new_zeros(heads, few * (few + columns))
            shifted = skewed[:, few - 1 : few - 1 + few * (few + columns - 1)]
            shifted.view(heads, few, -1)[..., :columns] = part
            first = rows - done - few
            total[:, first : first + few + columns] += skewed.view(heads, few, -1).sum(
                1, dtype=exact
            )
        return total[:, :-1].to(grad.dtype), None
