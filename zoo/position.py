"""The contract of a position: it acts in one place, and the place decides who can take it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

Place = Literal["none", "embedding", "query_key", "score"]


class Position(nn.Module, ABC):
    """Built as ``cls(dim, heads, *, options)``; subclass one of the three below.

    A constructor that names ``max_length`` is given the longest length the task will show.
    """

    place: ClassVar[Place]
    paper: ClassVar[str] = ""


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
    def forward(self, x: Float[Tensor, "b h l e"], start: int = 0) -> Float[Tensor, "b h l e"]:
        """Queries or keys (the same map serves both) at ``start`` .. ``start + l - 1``."""


class ScorePosition(Position):
    """Acts on attention scores, as a bias."""

    place = "score"

    @abstractmethod
    def forward(
        self, q: Float[Tensor, "b h q e"], distance: Int[Tensor, "q k"]
    ) -> Float[Tensor, "#b h q k"]:
        """What to add to the scores; ``distance`` is key position minus query position."""


class NoPosition(Position):
    """The order is the mixer's own affair."""

    place = "none"


PositionFactory = Callable[[int, int], Position]
"""(dim, heads) -> a position; how a mixer is given a query_key or score position."""
