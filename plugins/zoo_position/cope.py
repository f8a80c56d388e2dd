"""Positions that count only those tokens that the query's gates let count."""

from math import isqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo


class CoPE(zoo.ContextPosition):
    """q_i e[p_ij] is added, p_ij = g_ij + ... + g_ii, g = sigmoid(scores) (Golovneva et al. 2024).

    Between whole positions q_i e is interpolated; beyond ``npos_max`` - 1 it stays, so no length is
    too long. As in the authors' code the gates see scores divided by sqrt(e), q_i e is not divided,
    the heads share the embeddings, and these begin at zero. It counts from the query back to the
    key, so it is causal.
    """

    paper = "Golovneva et al. 2024, arXiv:2405.18719"
    directions = frozenset({"causal"})

    def __init__(self, dim: int, heads: int, *, npos_max: PositiveInt = 64) -> None:
        super().__init__()
        self.heads, self.width = heads, zoo.nn.head_width(dim, heads)
        self.table = nn.Parameter(torch.zeros(npos_max, self.width))

    def forward(
        self, q: Float[Tensor, "b h q e"], scores: Float[Tensor, "b h q k"]
    ) -> Float[Tensor, "b h q k"]:
        # a key out of sight has a gate of 0
        counted = scores.sigmoid().flip(-1).cumsum(-1).flip(-1)
        at = counted.clamp(max=len(self.table) - 1)
        # scores that are no numbers must not become an index out of bounds
        whole = at.detach().nan_to_num().long()
        products = q.to(at.dtype) @ self.table.to(at.dtype).mT  # (b, h, q, npos_max)
        rise = F.pad(products.diff(dim=-1), (0, 1))
        return products.gather(-1, whole) + rise.gather(-1, whole) * (at - whole)

    def flops(self, batch: int, pairs: int, queries: int | None = None) -> zoo.Flops:
        products = 2 * batch * self.heads * (queries or isqrt(pairs)) * self.table.numel()
        # gate, sum, bound, two floors, interpolation
        return zoo.Flops(products, other=9 * batch * self.heads * pairs)
