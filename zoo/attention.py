"""What every softmax attention is made of: heads, positions, the cache of keys and values."""

from abc import abstractmethod
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.flops import Flops
from zoo.mixer import Complexity, Mixer
from zoo.nn import head_width, inner_position, real_positions
from zoo.position import ContextPosition, PositionFactory, QueryKeyPosition, ScorePosition

Cache = tuple[int, Tensor, Tensor]
"""Tokens so far; their keys and values that may still be seen, (b, g, t, e) each."""


class AttentionMixer(Mixer):
    """Queries, keys and values in heads of one width, and a linear map of what they attend to.

    A subclass says who attends to whom: ``attend``, ``pairs`` for the closed forms, and ``evict``
    if it need not keep the whole past. ``kv_heads`` (g) divide ``heads`` (h); query head i reads
    key head i // (h / g). ``qk_norm`` is an RMS norm of each query and key with a learned scale
    (Dehghani et al. 2023, arXiv:2302.05442, as in Qwen3). Raises ZooError when ``heads`` does not
    divide ``dim``, ``kv_heads`` does not divide ``heads``, or the position cannot act inside.
    """

    family = "attention"
    complexity: ClassVar[Complexity | None] = "l^2"
    directions = frozenset({"causal", "bidirectional"})
    positions = frozenset({"none", "embedding", "query_key"})
    default_position = "rope"

    def __init__(
        self,
        dim: int,
        *,
        causal: bool,
        position: PositionFactory | None,
        heads: int,
        kv_heads: int | None = None,
        qk_norm: bool = False,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.width = dim, heads, head_width(dim, heads)
        self.kv_heads = kv_heads or heads
        if heads % self.kv_heads:
            able = [n for n in range(1, heads + 1) if heads % n == 0]
            raise ZooError(
                f"mixer.kv_heads={kv_heads} does not divide mixer.heads={heads}; try one of "
                f"{', '.join(map(str, able))}"
            )
        self.causal, self.kernel = causal, kernel
        # without biases a padding of zeros stays zero, and no NaN in it reaches a product
        self.qkv = nn.Linear(dim, (heads + 2 * self.kv_heads) * self.width, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.q_norm = nn.RMSNorm(self.width, eps=1e-6) if qk_norm else None
        self.k_norm = nn.RMSNorm(self.width, eps=1e-6) if qk_norm else None
        self.position = inner_position(position, dim, heads, self.positions, causal=causal)

    @property
    def score_position(self) -> ScorePosition | ContextPosition | None:
        """The position that acts on the scores, if that is where it acts."""
        acts = isinstance(self.position, ScorePosition | ContextPosition)
        return self.position if acts else None  # type: ignore[return-value]

    @abstractmethod
    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        """What the queries read. The last q of the k keys are their own, k - q are of the cache.

        ``start`` is the position of the first query; ``lengths`` come with k = q only.
        """

    @abstractmethod
    def pairs(self, length: int) -> int:
        """Pairs of a query and a key whose product one head computes in a forward pass."""

    def queries(self, length: int) -> int:
        """How often a position that acts on the scores is asked for a query's biases."""
        return length

    def evict(self, keys: Tensor, values: Tensor, done: int) -> tuple[Tensor, Tensor]:
        """What later queries may still see of the past, ``done`` tokens; here all of it."""
        return keys, values

    def project(
        self, x: Float[Tensor, "b l d"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l e"], Float[Tensor, "b g l e"]]:
        """Queries, keys and values of ``x``, whose first token is at position ``start``."""
        heads = rearrange(self.qkv(x), "b l (n e) -> b n l e", e=self.width)
        q, k, v = heads.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        if self.q_norm is not None and self.k_norm is not None:
            exact = self.q_norm.weight.dtype  # autocast leaves it wider
            q, k = self.q_norm(q.to(exact)).to(v.dtype), self.k_norm(k.to(exact)).to(v.dtype)
        if isinstance(self.position, QueryKeyPosition):
            q, k = self.position(q, k, start)
        return q, k, v

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if lengths is not None:
            x = x.masked_fill(~real_positions(lengths, x)[..., None], 0)
        y = self.attend(*self.project(x), lengths)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def initial_state(self, batch: int) -> Cache:
        empty = self.qkv.weight.new_empty(batch, self.kv_heads, 0, self.width)
        return 0, empty, empty

    def prefill(
        self, x: Float[Tensor, "b l d"], state: Cache | None = None
    ) -> tuple[Float[Tensor, "b l d"], Cache]:
        if not self.causal:
            raise ZooError(
                f"a bidirectional {type(self).__name__} cannot decode; build it with causal=True"
            )
        start, keys, values = self.initial_state(len(x)) if state is None else state
        q, k, v = self.project(x, start)
        # under autocast the empty cache is wider than the keys
        keys = torch.cat([keys.to(k.dtype), k], dim=2)
        values = torch.cat([values.to(v.dtype), v], dim=2)
        y = self.attend(q, keys, values, None, start)
        done = start + x.shape[1]
        mixed = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed, (done, *self.evict(keys, values, done))

    def step(self, x: Float[Tensor, "b d"], state: Cache) -> tuple[Float[Tensor, "b d"], Cache]:
        y, state = self.prefill(x[:, None], state)
        return y[:, 0], state

    def flops(self, batch: int, length: int) -> Flops:
        pairs = self.pairs(length)
        scores = batch * self.heads * pairs
        matmul = 2 * batch * length * (self.qkv.weight.numel() + self.out.weight.numel())
        # scale, maximum, difference, exp, quotient
        total = Flops(matmul + 4 * scores * self.width, other=5 * scores)
        acts = self.score_position
        return total if acts is None else total + acts.flops(batch, pairs, self.queries(length))

    def state_size(self, length: int) -> int:
        return 2 * length * self.kv_heads * self.width
