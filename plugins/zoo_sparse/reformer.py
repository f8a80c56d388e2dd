"""Attention to the tokens that fall into the same bucket of a random hash."""

from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

import zoo
from zoo_sparse import lsh


class ReformerCache(NamedTuple):
    """What decoding carries."""

    done: int
    queries: Tensor
    """(b, h, t, e): they are the keys too."""
    values: Tensor
    buckets: Tensor
    """(b, h, r, t) of all tokens, from the first bucket to the last."""
    order: Tensor
    """Which tokens these are."""


class Reformer(zoo.Mixer):
    """LSH attention (Kitaev et al. 2020): shared queries and keys, hashed by random rotations.

    A token's bucket is the greatest of [q R; -q R], in each of ``rounds`` rounds of each head with
    an R of its own. It attends to tokens of its bucket, with weights exp(q_i . q_j / |q_j|), to
    itself only if there is no other; a key that several rounds find counts once (the paper's
    N_ij). The rotations come from ``seed`` and ``layer``, once for all: the paper draws them anew
    at each pass, where outputs would be chance and a step not the forward pass.

    Causal: in each round the ``window`` latest of the bucket. Bidirectional: the ``window`` // 2
    nearest before and as many after. This is where we differ: the paper and all public code cut
    the sorted sequence into chunks of m tokens that see their own and the one before, so between m
    and 2 m - 1 tokens back; but where the edges fall depends on how many tokens of other buckets
    come later, which leaks the future into a causal model. Ours takes as long and leaks nothing.

    ``buckets`` is ``max_length`` / ``window`` if None, for one to fill the window (the authors take
    twice as many for their chunks, which hold parts of several); it must not depend on the length
    that is seen. The weights have no 1 / sqrt(e), as in the authors' code and in transformers;
    reformer-pytorch has it, and lets buckets see each other. No position turns queries and keys:
    it would turn what is hashed. In bfloat16 throughout, a few tokens fall into other buckets.

    Raises ZooError when ``heads`` does not divide ``dim`` or ``buckets`` is neither 1 nor even.
    """

    family = "sparse attention"
    paper = "Kitaev et al. 2020, arXiv:2001.04451"
    complexity = "l log l"
    directions = frozenset({"causal", "bidirectional"})
    default_position = "sinusoidal"
    kernels = lsh.KERNELS

    rotations: Tensor

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        max_length: int = 1024,
        layer: int = 0,
        heads: PositiveInt = 4,
        window: PositiveInt = 64,
        rounds: PositiveInt = 8,
        buckets: PositiveInt | None = None,
        seed: NonNegativeInt = 0,
        kernel: Literal["auto", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.width = dim, heads, zoo.nn.head_width(dim, heads)
        self.causal, self.window, self.rounds, self.kernel = causal, window, rounds, kernel
        self.buckets = buckets or 2 * max(1, round(max_length / window / 2))
        if self.buckets % 2 and self.buckets > 1:
            raise zoo.ZooError(
                f"mixer.buckets={buckets} is odd: a rotation and its opposite make two; try "
                f"mixer.buckets={self.buckets + 1}"
            )
        side = window if causal else window // 2
        self.band = zoo.ops.Band(side, 0 if causal else side)
        # without biases a padding of zeros stays zero, and no NaN in it reaches a product
        self.qv = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        draw = np.random.default_rng([seed, layer])  # the same on every device
        shape = heads, self.width, rounds * (self.buckets // 2)
        rotations = torch.tensor(draw.standard_normal(shape), dtype=torch.get_default_dtype())
        self.register_buffer("rotations", rotations)

    def project(
        self, x: Float[Tensor, "b l d"]
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b h l e"], Int[Tensor, "b h r l"]]:
        """Queries, values, buckets."""
        qv = rearrange(self.qv(x), "b l (n h e) -> n b h l e", n=2, h=self.heads)
        q, v = qv.unbind()
        if q.dtype == self.qv.weight.dtype:
            return q, v, self.hash(q.detach())
        # what autocast rounds would often fall into another bucket
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            exact = F.linear(x.to(self.qv.weight.dtype), self.qv.weight[: self.dim])
            return q, v, self.hash(rearrange(exact, "b l (h e) -> b h l e", h=self.heads))

    def hash(self, q: Float[Tensor, "b h l e"]) -> Int[Tensor, "b h r l"]:
        """The bucket of each token in each round."""
        if self.buckets == 1:
            return q.new_zeros(*q.shape[:2], self.rounds, q.shape[2], dtype=torch.long)
        exact = torch.promote_types(q.dtype, torch.float32)
        turned = q.to(exact) @ self.rotations.to(exact)
        turned = rearrange(turned, "b h l (r n) -> b h r l n", r=self.rounds)
        return torch.cat([turned, -turned], dim=-1).argmax(dim=-1)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        real = None if lengths is None else zoo.nn.real_positions(lengths, x)
        if real is not None:
            x = x.masked_fill(~real[..., None], 0)
        q, v, buckets = self.project(x)
        if real is not None:
            buckets = buckets.where(real[:, None, None], self.buckets)  # one of their own
        y = self.pick(q).run(q, lsh.unit(q), v, buckets, self.band)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def initial_state(self, batch: int) -> ReformerCache:
        weight = self.out.weight
        empty = weight.new_empty(batch, self.heads, 0, self.width)
        none = weight.new_empty(batch, self.heads, self.rounds, 0, dtype=torch.long)
        return ReformerCache(0, empty, empty, none, none)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: ReformerCache | None = None
    ) -> tuple[Float[Tensor, "b l d"], ReformerCache]:
        if not self.causal:
            raise zoo.ZooError("a bidirectional Reformer cannot decode; build it with causal=True")
        before = self.initial_state(len(x)) if state is None else state
        q, v, buckets = self.project(x)
        # under autocast the empty cache is wider
        queries = torch.cat([before.queries.to(q.dtype), q], dim=2)
        values = torch.cat([before.values.to(v.dtype), v], dim=2)
        known, order, rank = lsh.sorted_in(before.buckets, before.order, buckets)
        if before.done:
            y = lsh.picked(q, queries, values, order, known, rank, self.window)
        else:
            y = self.pick(q).run(q, lsh.unit(q), v, buckets, self.band)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        done = before.done + x.shape[1]
        return mixed, ReformerCache(done, queries, values, known, order)

    def step(
        self, x: Float[Tensor, "b d"], state: ReformerCache
    ) -> tuple[Float[Tensor, "b d"], ReformerCache]:
        y, state = self.prefill(x[:, None], state)
        return y[:, 0], state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        matmul = 2 * batch * length * (self.qv.weight.numel() + self.out.weight.numel())
        matmul += 2 * batch * length * self.rotations.numel()
        size = lsh.chunk(self.band, length)
        sides = sum(-(-min(side, length) // size) for side in self.band)
        pairs = self.rounds * -(-length // size) * size * size * (1 + sides)
        scores = batch * self.heads * pairs
        # maximum, difference, exp, sum, quotient
        return zoo.Flops(matmul + 4 * scores * self.width, other=5 * scores)

    def state_size(self, length: int) -> int:
        return 2 * length * self.heads * (self.width + self.rounds)
