"""A small network's bias of the distance, on a scale that grows with the length seen so far."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

import zoo

EPSILON = 1e-6


class Fire(zoo.ScorePosition):
    """f(psi(i - j) / psi(max(L, i))), psi(x) = ln(c x + 1), for all heads (Li et al. 2023).

    f has one hidden layer of ``hidden`` ReLUs; c and the threshold L are learned. As i - j <= i the
    argument stays within 0 and 1 at any length. The paper tells the causal form only: for a
    bidirectional mixer the distance is |i - j|, as in the authors' code, and the longer of the two
    prefixes, max(L, i, j), stands below, which is the causal form where j <= i and keeps the
    argument within 0 and 1 elsewhere (the code keeps i, and leaves that range).

    It is computed once for every pair of positions, whatever the batch.
    """

    paper = "Li et al. 2023, arXiv:2310.04418"

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        hidden: PositiveInt = 32,
        threshold: PositiveFloat = 512.0,
        c: PositiveFloat = 0.1,
    ) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, hidden), nn.Linear(hidden, heads)
        self.c = nn.Parameter(torch.tensor(c))
        self.start = threshold
        self.scale = nn.Parameter(torch.tensor(1.0))  # of the threshold: a step of its own size

    def forward(
        self,
        q: Float[Tensor, "b h *n q e"],
        query_at: Int[Tensor, "*m q"],
        key_at: Int[Tensor, "*m k"],
    ) -> Float[Tensor, "1 h *m q k"]:
        exact = torch.promote_types(self.c.dtype, torch.float32)
        row, column = query_at[..., None], key_at[..., None, :]
        c, threshold = self.c.to(exact).abs(), (self.scale.to(exact) * self.start).abs()
        prefix = torch.maximum(row, column).to(exact)
        far = torch.log1p(c * (row - column).abs().to(exact))
        x = far / (torch.log1p(c * torch.maximum(prefix, threshold)) + EPSILON)  # (*m, q, k)
        knots, slope, level = self.pieces(exact)
        piece = torch.bucketize(x.detach().flatten(), knots)
        risen = slope.index_select(1, piece) * x.flatten() + level.index_select(1, piece)
        return risen.view(1, len(slope), *x.shape)

    def pieces(self, exact: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """The network as the broken line that it is: one input, and a knot for each ReLU.

        Knots (hidden) ascending, and the slope and level (h, hidden + 1) of the pieces between. So
        a pair costs a multiply-add for each head, instead of ``hidden`` of them.
        """
        weight, shift = self.first.weight[:, 0].to(exact), self.first.bias.to(exact)
        with torch.no_grad():
            # only 0 to 1 is asked for: what bends elsewhere bends at -1 or 2
            knots = (-shift / weight).nan_to_num(2.0).clamp(-1, 2).sort().values
            ends = F.pad(F.pad(knots, (1, 0), value=-1.5), (0, 1), value=2.5)
            middle = (ends[1:] + ends[:-1]) / 2
            active = (torch.outer(middle, weight) + shift > 0).to(exact)  # (hidden + 1, hidden)
        last = self.last.weight.to(exact)
        slope, level = last @ (active * weight).mT, last @ (active * shift).mT
        return knots, slope, level + self.last.bias.to(exact)[:, None]

    def flops(self, batch: int, pairs: int, queries: int | None = None) -> zoo.Flops:
        hidden, heads = self.first.out_features, self.last.out_features
        # a pair: two logarithms and a quotient, then a search, then a multiply-add a head
        other = (8 + hidden.bit_length() + 2 * heads) * pairs
        return zoo.Flops(4 * heads * hidden * (hidden + 1), other)
