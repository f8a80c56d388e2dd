"""Softmax attention to the nearest keys: linear in the length, blind beyond the window."""

from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_sparse.window import Band, block_size, blocked, reference

Cache = tuple[int, Tensor, Tensor]  # tokens so far; the last keys and values, (b, h, <w, e) each


class Sliding(zoo.Mixer):
    """Attention to ``window`` keys, one's own included (Beltagy et al. 2020).

    Causal: keys i - window + 1 .. i. Bidirectional: window // 2 to the left and the rest, less
    one's own, to the right. Raises ZooError when ``heads`` does not divide ``dim`` or the position
    cannot act on queries and keys.
    """

    family = "sparse attention"
    paper = "Beltagy et al. 2020, arXiv:2004.05150"
    directions = frozenset({"causal", "bidirectional"})
    positions = frozenset({"none", "embedding", "query_key"})
    default_position = "rope"
    kernels = (zoo.Kernel("blocked", blocked), zoo.Kernel("reference", reference))

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
        super().__init__()
        self.dim, self.heads, self.width = dim, heads, zoo.nn.head_width(dim, heads)
        self.causal, self.kernel = causal, kernel
        self.window, self.band = window, Band.of(window, causal)
        # without biases a padding of zeros stays zero, and no NaN in it reaches a product
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.position = zoo.nn.query_key_position(position, dim, heads)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        keep = None
        if lengths is not None:
            keep = zoo.nn.real_positions(lengths, x)
            x = x.masked_fill(~keep[..., None], 0)
        q, k, v = rearrange(self.qkv(x), "b l (three h e) -> three b h l e", three=3, h=self.heads)
        if self.position is not None:
            q, k = self.position(q), self.position(k)
        # right padding lies in the future: the causal band leaves it out already
        y = self.pick(q).run(q, k, v, self.band, None if self.causal else keep)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def initial_state(self, batch: int) -> Cache:
        empty = self.qkv.weight.new_empty(batch, self.heads, 0, self.width)
        return 0, empty, empty

    def step(self, x: Float[Tensor, "b d"], state: Cache) -> tuple[Float[Tensor, "b d"], Cache]:
        if not self.causal:
            raise zoo.ZooError("a bidirectional window cannot decode; build it with causal=True")
        start, keys, values = state
        q, k, v = rearrange(self.qkv(x), "b (three h e) -> three b h 1 e", three=3, h=self.heads)
        if self.position is not None:
            q, k = self.position(q, start), self.position(k, start)
        # under autocast the empty cache is wider than the keys
        keys = torch.cat([keys.to(k.dtype), k], dim=2)
        values = torch.cat([values.to(v.dtype), v], dim=2)
        y = F.scaled_dot_product_attention(q, keys, values)  # what is cached is all in sight
        if keys.shape[2] == self.window:
            # the oldest is out of the next query's sight; a slice would keep it in memory
            keys, values = keys[:, :, 1:].clone(), values[:, :, 1:].clone()
        return self.out(rearrange(y, "b h 1 e -> b (h e)")), (start + 1, keys, values)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        band = self.band.within(length)
        size = block_size(band, length)
        scores = batch * self.heads * ceil(length / size) * size * (size + band.left + band.right)
        matmul = 8 * batch * length * self.dim**2 + 4 * scores * self.width
        return zoo.Flops(matmul, other=5 * scores)  # scale, maximum, difference, exp, quotient

    def state_size(self, length: int) -> int:
        return 2 * self.dim * min(length, self.window - 1)
