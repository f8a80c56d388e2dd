"""Longformer: a window, perhaps dilated, and a few tokens that see and are seen by all."""

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

import zoo
from zoo_sparse.gathered import everything
from zoo_sparse.mixer import SparseMixer
from zoo_sparse.near import Near
from zoo_sparse.pattern import Sparsity


class Longformer(SparseMixer):
    """Attention to ``window`` keys ``dilation`` apart, and to global tokens (Beltagy et al. 2020).

    The window is that of ``sliding``: causal i, i - dilation, ... ; bidirectional window // 2 of
    them to the left and the rest, less one's own, to the right (the paper's w is our window - 1).
    The first ``globals`` tokens are seen by all, in one softmax with the window. Bidirectional,
    they see all with projections of their own, and there is one of them unless said otherwise (the
    classification token). Causal, as in the paper's language model, there is none; if asked for,
    every later token sees them, with the projections that all have. The dilation is that of all
    heads (the paper dilates two). Raises ZooError when ``heads`` does not divide ``dim`` or the
    position cannot act inside.
    """

    paper = "Beltagy et al. 2020, arXiv:2004.05150"
    complexity = "l"

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        window: PositiveInt = 64,
        dilation: PositiveInt = 1,
        globals: NonNegativeInt | None = None,
        kernel: Literal["auto", "blocked", "reference"] = "auto",
    ) -> None:
        super().__init__(dim, causal=causal, position=position, heads=heads, kernel=kernel)
        self.globals = (0 if causal else 1) if globals is None else globals
        self.near = Near(zoo.ops.Band.of(window, causal), dilation, self.globals)
        self.seeing = 0 if causal else self.globals
        if self.seeing:
            self.global_query = nn.Linear(dim, dim, bias=False)
            self.global_key_value = nn.Linear(dim, 2 * dim, bias=False)

    @property
    def pattern(self) -> Near:
        return self.near

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if not self.seeing:
            return super().forward(x, lengths)
        if lengths is not None:
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        local = self.attend(*self.project(x), lengths)
        y = torch.cat([self.overview(x, lengths), local[:, :, self.seeing :]], dim=2)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def overview(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None
    ) -> Float[Tensor, "b h g e"]:
        """What the global tokens read, from all of the sequence."""
        few = min(self.seeing, x.shape[1])
        q = rearrange(self.global_query(x[:, :few]), "b g (h e) -> b h g e", h=self.heads)
        both = self.global_key_value(x)
        k, v = rearrange(both, "b l (two h e) -> two b h l e", two=2, h=self.heads)
        if isinstance(self.position, zoo.QueryKeyPosition):
            # it wants as many queries as keys
            q, k = self.position(F.pad(q, (0, 0, 0, x.shape[1] - few)), k)
        told = Sparsity(
            causal=False, lengths=lengths, position=self.score_position, pattern=self.near
        )
        return everything(q[:, :, :few], k, v, told)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        total = super().flops(batch, length)
        few = min(self.seeing, length)
        if few:
            products = 2 * batch * self.dim**2 * (few + 2 * length)
            scores = batch * self.heads * few * length
            total += zoo.Flops(products + 4 * scores * self.width, other=5 * scores)
            if self.score_position is not None:
                total += self.score_position.flops(batch, few * length, few)
        return total
