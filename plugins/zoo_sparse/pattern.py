"""Who sees whom: what every fixed pattern says of itself, and what a kernel is told."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

import zoo


class Pattern(ABC):
    """Which keys a query sees, by their positions alone; a direction may hide some of them.

    ``sees`` is the definition, the rest is for kernels: ``rows`` of queries that look at much the
    same, and ``keys``, those that any of a row may see.
    """

    exact: ClassVar[bool] = False
    """Whether all queries of a row see all of its keys, but for the direction."""
    wide: int = 0
    """How many queries at the start see everything, if the direction lets them."""

    @property
    def uniform(self) -> bool:
        """Whether the distances from queries to keys are the same in every row."""
        return False

    @abstractmethod
    def sees(self, query_at: Int[Tensor, "..."], key_at: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Whether the query at one position sees the key at the other; both broadcast."""

    @abstractmethod
    def rows(self, start: int, stop: int, device: torch.device) -> Int[Tensor, "n c"]:
        """Positions ``start`` .. ``stop - 1``, each once, in rows; others are fillers."""

    @abstractmethod
    def keys(self, rows: Int[Tensor, "n c"], total: int) -> Int[Tensor, "n s"]:
        """What each row may see, none twice; those off 0 .. ``total - 1`` are fillers."""

    def kept(self, done: int, device: torch.device) -> Int[Tensor, " k"] | None:
        """Ascending positions among the first ``done`` that later queries may see; None: all."""
        return None

    def remembers(self, done: int) -> int:
        """How many they are."""
        kept = self.kept(done, torch.device("cpu"))
        return done if kept is None else len(kept)


def blocks_of(start: int, stop: int, size: int, device: torch.device) -> Tensor:
    """(n, size): the blocks from multiples of ``size`` on that hold ``start`` .. ``stop - 1``.

    Where one block holds all, no more than these.
    """
    if start // size == (stop - 1) // size:
        return torch.arange(start, stop, device=device)[None]
    first = start // size * size
    return torch.arange(first, -(-stop // size) * size, device=device).view(-1, size)


@dataclass(frozen=True, kw_only=True)
class Sparsity(zoo.ops.AttentionBias):
    """A bias that a pattern decides too. Keys of the past are those that the pattern keeps."""

    pattern: Pattern

    def at(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        new = torch.arange(self.start, self.start + q.shape[2], device=q.device)
        if k.shape[2] == q.shape[2]:
            return new, new
        kept = self.pattern.kept(self.start, q.device)
        past = torch.arange(self.start, device=q.device) if kept is None else kept
        return new, torch.cat([past, new])

    def seen(self, q: Tensor, k: Tensor) -> Tensor | None:
        query_at, key_at = (at.to(q.device) for at in self.at(q, k))
        seen = self.pattern.sees(query_at[:, None], key_at)
        if not self.causal:
            seen = seen | (query_at < self.pattern.wide)[:, None]
        if self.causal:
            seen = seen & (key_at <= query_at[:, None])
        return self.real(seen, query_at[:, None], key_at)

    def real(self, seen: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        """``seen`` (..., q, k) less the padding: (b, 1, ..., q, k) if there is any to be hidden.

        A query of the padding keeps its own key, or its softmax would have no sum.
        """
        if self.causal or self.lengths is None:  # right padding lies in the future
            return seen
        lengths = self.lengths.to(seen.device).view(-1, *[1] * (seen.ndim + 1))
        return seen & ((key_at < lengths) | (key_at == query_at))

    def scores(self, q: Tensor, k: Tensor) -> Tensor | None:
        if not isinstance(self.position, zoo.ScorePosition):
            return None
        added: Tensor = self.position(q, *self.at(q, k))
        return added
