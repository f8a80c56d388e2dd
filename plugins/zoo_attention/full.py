"""Softmax attention to everything: the quadratic yardstick."""

from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_attention.softmax import reference, sdpa

Cache = tuple[Tensor, Tensor]  # keys and values so far, (b, h, t, e) each


class Attention(zoo.Mixer):
    """y = softmax(q k^T / sqrt(e)) v in each head, over the past or over all (Vaswani et al. 2017).

    Raises ZooError when ``heads`` does not divide ``dim`` or the position cannot act on queries
    and keys.
    """

    family = "attention"
    paper = "Vaswani et al. 2017, arXiv:1706.03762"
    directions = frozenset({"causal", "bidirectional"})
    positions = frozenset({"none", "embedding", "query_key"})
    default_position = "rope"
    kernels = (zoo.Kernel("sdpa", sdpa), zoo.Kernel("reference", reference))

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        kernel: Literal["auto", "sdpa", "reference"] = "auto",
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.width = dim, heads, zoo.nn.head_width(dim, heads)
        self.causal, self.kernel = causal, kernel
        # without biases a padding of zeros stays zero, and no NaN in it reaches a product
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.position = zoo.nn.query_key_position(position, dim, heads)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if lengths is not None:
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        q, k, v = rearrange(self.qkv(x), "b l (three h e) -> three b h l e", three=3, h=self.heads)
        if self.position is not None:
            q, k = self.position(q), self.position(k)
        y = self.pick(q).run(q, k, v, self.causal, lengths)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def initial_state(self, batch: int) -> Cache:
        empty = self.qkv.weight.new_empty(batch, self.heads, 0, self.width)
        return empty, empty

    def step(self, x: Float[Tensor, "b d"], state: Cache) -> tuple[Float[Tensor, "b d"], Cache]:
        if not self.causal:
            raise zoo.ZooError("a bidirectional attention cannot decode; build it with causal=True")
        keys, values = state
        q, k, v = rearrange(self.qkv(x), "b (three h e) -> three b h 1 e", three=3, h=self.heads)
        if self.position is not None:
            start = keys.shape[2]
            q, k = self.position(q, start), self.position(k, start)
        # under autocast the empty cache is wider than the keys
        keys = torch.cat([keys.to(k.dtype), k], dim=2)
        values = torch.cat([values.to(v.dtype), v], dim=2)
        y = self.pick(q).run(q, keys, values, False, None)
        return self.out(rearrange(y, "b h 1 e -> b (h e)")), (keys, values)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        scores = batch * self.heads * length**2
        matmul = 8 * batch * length * self.dim**2 + 4 * scores * self.width
        return zoo.Flops(matmul, other=5 * scores)  # scale, maximum, difference, exp, quotient

    def state_size(self, length: int) -> int:
        return 2 * length * self.dim
