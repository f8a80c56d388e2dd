"""Softmax attention to the nearest keys: linear in the length, blind beyond the window."""

from math import ceil
from typing import Literal

from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor

import zoo
from zoo_sparse.window import block_size, blocked


class Sliding(zoo.AttentionMixer):
    """Attention to ``window`` keys, one's own included (Beltagy et al. 2020).

    Causal: keys i - window + 1 .. i. Bidirectional: window // 2 to the left and the rest, less
    one's own, to the right. Raises ZooError when ``heads`` does not divide ``dim`` or the position
    cannot act inside.
    """

    family = "sparse attention"
    paper = "Beltagy et al. 2020, arXiv:2004.05150"
    complexity = "l"
    kernels = (zoo.Kernel("blocked", blocked), zoo.ops.REFERENCE)

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        window: PositiveInt = 64,
        kernel: Literal["auto", "blocked", "reference"] = "auto",
    ) -> None:
        super().__init__(dim, causal=causal, position=position, heads=heads, kernel=kernel)
        self.window, self.band = window, zoo.ops.Band.of(window, causal)

    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        bias = zoo.ops.AttentionBias(
            self.causal, self.band, lengths, self.score_position, start=start
        )
        y: Tensor = self.pick(q, bias).run(q, k, v, bias)
        return y

    def evict(self, keys: Tensor, values: Tensor, done: int) -> tuple[Tensor, Tensor]:
        gone = keys.shape[2] - self.window + 1
        if gone <= 0:
            return keys, values
        # a slice would keep the rest in memory
        return keys[:, :, gone:].clone(), values[:, :, gone:].clone()

    def pairs(self, length: int) -> int:
        band = self.band.within(length)
        size = block_size(band, length)
        return ceil(length / size) * size * (size + band.left + band.right)

    def state_size(self, length: int) -> int:
        return 2 * self.dim * min(length, self.window - 1)
