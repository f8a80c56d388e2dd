"""Attention as the difference of two softmax maps: what both see is cancelled as noise."""

from math import exp

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_attention.full import KernelName


class DiffAttention(zoo.AttentionMixer):
    """y = norm((softmax(q1 k1^T / sqrt(e)) - lambda softmax(q2 k2^T / sqrt(e))) v) (1 - start).

    Ye et al. 2024. Each of ``heads`` has two maps of width e = dim / (2 heads) and values of width
    2e, so that it stands for two heads of `attention`. lambda = exp(a1 . b1) - exp(a2 . b2) +
    start is one number a layer; start = 0.8 - 0.6 exp(-0.3 layer), ``layer`` counted from 0. The
    norm is RMS over each head's values, with a learned scale that all heads share.

    The two maps of a head share what a position adds to their scores. ``kv_heads`` pairs of keys
    (None: as many as heads) serve the pairs of queries in groups: first maps read first keys,
    second maps second keys, as in the authors' flash-attention form; their plain form repeats keys
    one by one, so that with two queries a key both maps of a head would read the same. DiffLlama of
    transformers pairs head i with head i + heads and has no scale on the norm.

    Raises ZooError when ``2 heads`` does not divide ``dim``, ``kv_heads`` does not divide
    ``heads``, or the position cannot act inside.
    """

    paper = "Ye et al. 2024, arXiv:2410.05258"
    positions = frozenset({"none", "embedding", "query_key", "score", "context"})
    kernels = zoo.ops.ATTENTIONS

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        layer: int = 0,
        heads: PositiveInt = 2,
        kv_heads: PositiveInt | None = None,
        kernel: KernelName = "auto",
    ) -> None:
        if dim % (2 * heads):
            able = [n for n in range(1, dim // 2 + 1) if dim % (2 * n) == 0]
            hint = (
                f"mixer.heads={min(able, key=lambda n: abs(n - heads))}" if able else "an even dim"
            )
            raise zoo.ZooError(
                f"mixer.heads={heads}: two maps a head need dim to be a multiple of {2 * heads}, "
                f"not {dim}; try {hint}"
            )
        if heads % (kv_heads or heads):
            able = [n for n in range(1, heads + 1) if heads % n == 0]
            raise zoo.ZooError(
                f"mixer.kv_heads={kv_heads} does not divide mixer.heads={heads}; try one of "
                f"{', '.join(map(str, able))}"
            )
        super().__init__(
            dim,
            causal=causal,
            position=position,
            heads=2 * heads,
            kv_heads=2 * (kv_heads or heads),
            kernel=kernel,
        )
        if self.score_position is not None:  # one for both maps of a head, of their width
            self.position = zoo.nn.inner_position(
                position, dim // 2, heads, self.positions, causal=causal
            )
        self.lambda_init = 0.8 - 0.6 * exp(-0.3 * layer)
        self.lambda_q1, self.lambda_k1, self.lambda_q2, self.lambda_k2 = (
            nn.Parameter(0.1 * torch.randn(self.width)) for _ in range(4)
        )
        self.norm = nn.RMSNorm(2 * self.width, eps=1e-5)

    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        # both maps in one call, as rows of a batch
        q, k = (rearrange(z, "b (h two) l e -> (two b) h l e", two=2) for z in (q, k))
        v = rearrange(v, "b (g two) l e -> b g l (two e)", two=2).repeat(2, 1, 1, 1)
        bias = zoo.ops.AttentionBias(
            self.causal,
            lengths=None if lengths is None else lengths.repeat(2),
            position=self.score_position,
            start=start,
        )
        first, second = self.pick(v, bias).run(q, k, v, bias).chunk(2)
        exact = self.norm.weight.dtype  # autocast leaves it wider
        y = self.norm((first - self.strength().to(first.dtype) * second).to(exact))
        y = (y * (1 - self.lambda_init)).to(first.dtype)
        heads: Tensor = rearrange(y, "b h l (two e) -> b (h two) l e", two=2)
        return heads

    def strength(self) -> Float[Tensor, ""]:
        """lambda, in at least float32."""
        a1, b1, a2, b2 = (
            z.to(torch.promote_types(z.dtype, torch.float32))
            for z in (self.lambda_q1, self.lambda_k1, self.lambda_q2, self.lambda_k2)
        )
        return (a1 * b1).sum().exp() - (a2 * b2).sum().exp() + self.lambda_init

    def pairs(self, length: int) -> int:
        return length**2

    def flops(self, batch: int, length: int) -> zoo.Flops:
        pairs, acts = self.pairs(length), self.score_position
        scores = batch * self.heads * pairs
        # values are twice as wide; so are queries and keys in fused kernels, which take one width
        widths = 3 if isinstance(acts, zoo.ContextPosition) else 4
        maps = 2 * batch * length * (self.qkv.weight.numel() + self.out.weight.numel())
        total = zoo.Flops(
            maps + 2 * widths * scores * self.width, other=5 * (scores + batch * length * self.dim)
        )
        return total if acts is None else total + acts.flops(2 * batch, pairs)
