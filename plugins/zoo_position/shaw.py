"""A learned key for each distance, added to the keys as the query meets them."""

from math import isqrt

import torch
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo


class Shaw(zoo.ScorePosition):
    """q_i a_(j - i) / sqrt(e) is added to the scores, a learned (Shaw et al. 2018).

    Distances beyond ``max_distance`` share the last one, so no length is too long; the heads share
    all. The paper also adds learned values, which its own ablation (table 3) finds to add nothing
    to the learned keys: they are left out, as a bias of the scores cannot say them.
    """

    paper = "Shaw et al. 2018, arXiv:1803.02155"

    def __init__(
        self, dim: int, heads: int, *, causal: bool = True, max_distance: PositiveInt = 16
    ) -> None:
        super().__init__()
        self.heads, self.width = heads, zoo.nn.head_width(dim, heads)
        self.causal = causal
        self.past, self.future = max_distance, 0 if causal else max_distance
        rows = self.past + 1 + self.future
        self.table = nn.Parameter(torch.randn(rows, self.width) * self.width**-0.5)

    def forward(
        self,
        q: Float[Tensor, "b h *n q e"],
        query_at: Int[Tensor, "*m q"],
        key_at: Int[Tensor, "*m k"],
    ) -> Float[Tensor, "b h *n q k"]:
        exact = torch.promote_types(q.dtype, torch.float32)
        products: Tensor = (
            q.to(exact) @ (self.table.to(exact) / q.shape[-1] ** 0.5).mT
        )  # (b h *n q r)
        distance = key_at[..., None, :] - query_at[..., None]
        row = distance.clamp(-self.past, self.future) + self.past
        return products.gather(-1, row.expand(*products.shape[:-1], row.shape[-1]))

    def flops(self, batch: int, pairs: int, queries: int | None = None) -> zoo.Flops:
        products = 2 * batch * self.heads * (queries or isqrt(pairs)) * len(self.table)
        return zoo.Flops(products * self.width, other=batch * self.heads * pairs)
