"""Softmax attention to everything: the quadratic yardstick."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo

KernelName = Literal["auto", "sdpa", "flash_attn", "flex", "xformers", "reference"]


class Attention(zoo.AttentionMixer):
    """y = softmax(q k^T / sqrt(e)) v in each head, over the past or over all (Vaswani et al. 2017).

    ``kv_heads`` heads of keys and values serve all ``heads`` of queries (None: as many). With
    ``qk_norm`` each query and key is normed over its head before it is turned, as in Qwen3. With
    ``sinks`` each head has a learned score of nothing at all, which takes its share of the softmax,
    as in gpt-oss. Raises ZooError when ``heads`` does not divide ``dim``, ``kv_heads`` does not
    divide ``heads``, or the position cannot act inside.
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
        kv_heads: PositiveInt | None = None,
        qk_norm: bool = False,
        sinks: bool = False,
        kernel: KernelName = "auto",
    ) -> None:
        super().__init__(
            dim,
            causal=causal,
            position=position,
            heads=heads,
            kv_heads=kv_heads,
            qk_norm=qk_norm,
            kernel=kernel,
        )
        self.sinks = nn.Parameter(torch.zeros(heads)) if sinks else None

    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        bias = zoo.ops.AttentionBias(
            self.causal,
            lengths=lengths,
            position=self.score_position,
            sinks=self.sinks,
            start=start,
        )
        y: Tensor = self.pick(q, bias).run(q, k, v, bias)
        return y

    def pairs(self, length: int) -> int:
        return length**2

    def flops(self, batch: int, length: int) -> zoo.Flops:
        total = super().flops(batch, length)
        acts = self.score_position
        if self.sinks is None or isinstance(acts, zoo.ContextPosition):
            return total
        # fused kernels compute with one more key and column, and one more query under a triangle
        queries = length + (self.causal and acts is None)
        grown = queries * (length + 1) * (self.width + 1) - length**2 * self.width
        return total + zoo.Flops(4 * batch * self.heads * grown)
