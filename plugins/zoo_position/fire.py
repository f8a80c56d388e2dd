"""A small network's bias of the distance, on a scale that grows with the length seen so far."""

import torch
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

    The network runs once for every pair of positions, whatever the batch, and its hidden layer is
    held for the backward pass: ``hidden`` numbers a pair.
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
        prefix = torch.maximum(row, column).to(exact).clamp(min=0)
        far = torch.log1p(c * (row - column).abs().to(exact))
        whole = torch.log1p(c * torch.maximum(prefix, threshold)) + EPSILON
        x = far / whole  # (*m, q, k)
        weight, shift = self.first.weight.to(exact), self.first.bias.to(exact)
        # the hidden features come first, so that the heads do too
        hidden = torch.relu(torch.outer(weight[:, 0], x.flatten()) + shift[:, None])
        bias = torch.addmm(self.last.bias.to(exact)[:, None], self.last.weight.to(exact), hidden)
        return bias.view(1, -1, *x.shape)

    def flops(self, batch: int, pairs: int, queries: int | None = None) -> zoo.Flops:
        # per pair: two logarithms, a quotient, a multiply-add and a ReLU a hidden feature
        more = 8 + 3 * self.first.out_features
        return zoo.Flops(2 * pairs * self.last.weight.numel(), other=more * pairs)
