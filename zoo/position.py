"""The contract of a position: it acts in one place, and the place decides who can take it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.flops import Flops

Place = Literal["none", "embedding", "query_key", "score", "context"]


class Position(nn.Module, ABC):
    """Built as ``cls(dim, heads, *, options)``; subclass one of those below.

    A constructor that names ``max_length`` is given the longest length the task will show, one that
    names ``causal`` the direction of the mixer that it acts in.
    """

    place: ClassVar[Place]
    paper: ClassVar[str] = ""
    directions: ClassVar[frozenset[Literal["causal", "bidirectional"]]] = frozenset(
        {"causal", "bidirectional"}
    )
    """Those that the method defines."""


class EmbeddingPosition(Position):
    """Acts once, on the embeddings; every mixer takes it."""

    place = "embedding"

    @abstractmethod
    def forward(self, x: Float[Tensor, "b l d"], start: int = 0) -> Float[Tensor, "b l d"]:
        """Add positions ``start`` .. ``start + l - 1`` to ``x``."""


class QueryKeyPosition(Position):
    """Acts on queries and keys inside each attention."""

    place = "query_key"

    @abstractmethod
    def forward(
        self, q: Float[Tensor, "b h l e"], k: Float[Tensor, "b g l e"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b g l e"]]:
        """Queries and keys, both at positions ``start`` .. ``start + l - 1``."""


class ScorePosition(Position):
    """Acts on attention scores, as a bias that a pair's two positions decide (and the query)."""

    place = "score"

    @abstractmethod
    def forward(
        self,
        q: Float[Tensor, "b h *n q e"],
        query_at: Int[Tensor, "*n q"],
        key_at: Int[Tensor, "*n k"],
    ) -> Float[Tensor, "#b h *n q k"]:
        """What to add to the scores, which are q k^T / sqrt(e).

        ``n`` are any axes of blocks, each with its own queries and keys; the positions' may be 1
        where all blocks are alike, as they are to a ``RelativePosition`` but not to every other. A
        position may lie off the ends of the sequence: whoever asks masks its score.
        """

    def flops(self, batch: int, pairs: int, queries: int | None = None) -> Flops:
        """Of the biases of ``pairs`` of a query and a key, in all heads, in each of ``batch``.

        ``queries`` are how many the pairs have; None is as many as keys, each meeting each.
        """
        return Flops(0)


class RelativePosition(ScorePosition):
    """A bias that the distance alone decides, so that a table of distances serves all pairs."""

    slopes: Tensor | None = None
    """(h,) where the bias is -slope |distance|, which some kernels take as such; else None."""

    @abstractmethod
    def bias(self, distance: Int[Tensor, "..."]) -> Float[Tensor, "h ..."]:
        """``distance`` is the key's position minus the query's: negative in the past."""

    def forward(
        self,
        q: Float[Tensor, "b h *n q e"],
        query_at: Int[Tensor, "*m q"],
        key_at: Int[Tensor, "*m k"],
    ) -> Float[Tensor, "1 h *m q k"]:
        return self.bias(key_at[..., None, :] - query_at[..., None])[None]


class ContextPosition(Position):
    """Acts on attention scores as a bias that the scores themselves decide, a whole row at once."""

    place = "context"

    @abstractmethod
    def forward(
        self, q: Float[Tensor, "b h q e"], scores: Float[Tensor, "b h q k"]
    ) -> Float[Tensor, "b h q k"]:
        """What to add to ``scores``, which are q k^T / sqrt(e), -inf where a key is out of sight.

        The columns are all keys up to the last query's, in their order.
        """

    def flops(self, batch: int, pairs: int, queries: int | None = None) -> Flops:
        """Of the biases of ``pairs`` of a query and a key, in all heads, in each of ``batch``.

        ``queries`` are how many the pairs have; None is as many as keys, each meeting each.
        """
        return Flops(0)


class NoPosition(Position):
    """The order is the mixer's own affair."""

    place = "none"


PositionFactory = Callable[[int, int], Position]
"""(dim, heads) -> a position; how a mixer is given one that acts inside it."""
