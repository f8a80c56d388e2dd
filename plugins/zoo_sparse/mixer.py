"""What the mixers with a fixed pattern share: the pattern decides cost, cache and kernel."""

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

import zoo
from zoo_sparse.gathered import gathered
from zoo_sparse.pattern import Pattern, Sparsity

BLOCKED = zoo.Kernel("blocked", gathered)


class SparseMixer(zoo.AttentionMixer):
    """Attention along a pattern, which the subclass gives.

    The cache holds the keys that the pattern lets later queries see, and no others.
    """

    family = "sparse attention"
    positions = frozenset({"none", "embedding", "query_key", "score"})
    kernels: ClassVar[tuple[zoo.Kernel, ...]] = (BLOCKED, zoo.ops.REFERENCE)

    @property
    @abstractmethod
    def pattern(self) -> Pattern:
        """Who sees whom."""

    @property
    def band(self) -> zoo.ops.Band | None:
        """The pattern as a band, if it is no more than that."""
        return None

    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        bias = Sparsity(
            self.causal,
            self.band,
            lengths,
            self.score_position,
            start=start,
            pattern=self.pattern,
        )
        y: Tensor = self.pick(q, bias).run(q, k, v, bias)
        return y

    def prefill(
        self, x: Float[Tensor, "b l d"], state: zoo.Cache | None = None
    ) -> tuple[Float[Tensor, "b l d"], zoo.Cache]:
        start = 0 if state is None else state[0]
        y, (done, keys, values) = super().prefill(x, state)
        kept, had = (self.pattern.kept(n, x.device) for n in (done, start))
        if kept is None or had is None or len(kept) == keys.shape[2]:
            return y, (done, keys, values)
        held = torch.cat([had, torch.arange(start, done, device=x.device)])
        row = torch.searchsorted(held, kept)
        return y, (done, keys.index_select(2, row), values.index_select(2, row))

    def pairs(self, length: int) -> int:
        return self.pairs_and_queries(length)[0]

    def queries(self, length: int) -> int:
        return self.pairs_and_queries(length)[1]

    def pairs_and_queries(self, length: int) -> tuple[int, int]:
        """Of one head, fillers among them; a query as often as its position is asked for biases."""
        pattern, device = self.pattern, torch.device("cpu")
        wide = 0 if self.causal else min(pattern.wide, length)
        if wide == length:
            return length**2, length
        rows = pattern.rows(wide, length, device)
        pairs = rows.numel() * pattern.keys(rows, length).shape[1]
        return wide * length + pairs, wide + rows.numel()

    def state_size(self, length: int) -> int:
        return 2 * self.pattern.remembers(length) * self.kv_heads * self.width
