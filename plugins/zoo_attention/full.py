"""Softmax attention to everything: the quadratic yardstick."""

from typing import Literal

from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor

import zoo

KernelName = Literal["auto", "sdpa", "reference"]


class Attention(zoo.AttentionMixer):
    """y = softmax(q k^T / sqrt(e)) v in each head, over the past or over all (Vaswani et al. 2017).

    Raises ZooError when ``heads`` does not divide ``dim`` or the position cannot act inside.
    """

    paper = "Vaswani et al. 2017, arXiv:1706.03762"
    positions = frozenset({"none", "embedding", "query_key", "score", "context"})
    kernels = zoo.ops.ATTENTIONS

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        qk_norm: bool = False,
        kernel: KernelName = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, qk_norm=qk_norm, kernel=kernel
        )

    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        bias = zoo.ops.AttentionBias(
            self.causal, lengths=lengths, position=self.score_position, start=start
        )
        y: Tensor = self.pick(q, bias).run(q, k, v, bias)
        return y

    def pairs(self, length: int) -> int:
        return length**2
