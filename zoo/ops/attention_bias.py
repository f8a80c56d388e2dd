"""What is added to the scores of attention before the softmax: nothing, a bias, or -inf."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.ops.toeplitz import toeplitz
from zoo.position import ContextPosition, RelativePosition, ScorePosition


class Band(NamedTuple):
    """How many keys a query sees before and after its own."""

    left: int
    right: int

    @staticmethod
    def of(window: int, causal: bool) -> "Band":
        """``window`` keys in all, the query's own included."""
        return Band(window - 1, 0) if causal else Band(window // 2, (window - 1) // 2)

    def within(self, length: int) -> "Band":
        """The same band, no wider than ``length`` can fill."""
        return Band(min(self.left, length - 1), min(self.right, length - 1))


@dataclass(frozen=True)
class AttentionBias:
    """Of queries (b, h, q, e) and keys (b, g, k, e), k >= q: query i stands where key i + k - q is.

    ``causal`` hides later keys, ``band`` all but the nearest, ``lengths`` (b,) those of the padding
    on the right; ``position`` adds its bias, ``start`` being the position of the first query;
    ``sinks`` (h,) are scores of one more key whose value is zero (gpt-oss; Xiao et al. 2023,
    arXiv:2309.17453, have the idea). A query of the padding keeps its own key, or its softmax would
    have no sum.
    """

    causal: bool
    band: Band | None = None
    lengths: Tensor | None = None
    position: ScorePosition | ContextPosition | None = None
    sinks: Tensor | None = None
    start: int = 0

    def at(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The positions (q,) and (k,) of queries and keys."""
        first = self.start + q.shape[2] - k.shape[2]
        key_at = torch.arange(first, first + k.shape[2], device=q.device)
        return key_at[k.shape[2] - q.shape[2] :], key_at

    def seen(self, q: Tensor, k: Tensor) -> Tensor | None:
        """(q, k) or (b, 1, q, k): True where the query sees the key; None where all see all."""
        query_at, key_at = self.at(q, k)
        near, kept = self.near(key_at - query_at[:, None]), self.kept(q, k)
        if near is None or kept is None:
            return kept if near is None else near
        return near & kept

    def near(self, distance: Tensor) -> Tensor | None:
        """True where the distance of a key from the query lets it be seen; None if always."""
        near = None
        if self.causal:
            near = distance <= 0
        if self.band is not None:
            within = (distance >= -self.band.left) & (distance <= self.band.right)
            near = within if near is None else near & within
        return near

    def kept(self, q: Tensor, k: Tensor) -> Tensor | None:
        """(b, 1, q, k): True where the key is a token, or the query's own; None if all are."""
        if self.lengths is None or self.causal:
            return None
        # right padding lies in the future: a causal query of a token sees none of it
        query_at, key_at = self.at(q, k)
        real = torch.arange(k.shape[2], device=k.device) < self.lengths.to(k.device)[:, None]
        return real[:, None, None, :] | (key_at == query_at[:, None])

    def distances(self, q: Tensor, k: Tensor) -> Tensor:
        """(k + q - 1,): those that there are of a key from a query, ascending; q is 1 or more."""
        return torch.arange(1 - k.shape[2], max(q.shape[2], 1), device=q.device)

    def scores(self, q: Tensor, k: Tensor) -> Tensor | None:
        """What the position adds, broadcastable to (b, h, q, k), in at least float32; or None.

        Not for a position that needs the scores themselves.
        """
        if not isinstance(self.position, ScorePosition):
            return None
        if isinstance(self.position, RelativePosition):
            exact = torch.promote_types(q.dtype, torch.float32)
            distance = self.distances(q, k)
            return toeplitz(self.position.bias(distance).to(exact), q.shape[2])[None]
        added: Tensor = self.position(q, *self.at(q, k))
        return added

    def mask(self, q: Tensor, k: Tensor) -> Tensor | None:
        """The whole as fused kernels take it: None, booleans, or numbers of the queries' own type.

        Broadcastable to (b, h, q, k). Where the distance decides everything, so does a table of
        distances: no more than one tensor of this size is ever made.
        """
        # a subclass may see by other rules than the distance
        if type(self) is not AttentionBias or not isinstance(self.position, RelativePosition):
            seen, scores = self.seen(q, k), self.scores(q, k)
            if scores is None:
                return seen
            return (scores if seen is None else scores.masked_fill(~seen, -torch.inf)).to(q.dtype)
        distance = self.distances(q, k)
        table, near = self.position.bias(distance), self.near(distance)
        if near is not None:
            table = table.masked_fill(~near, -torch.inf)
        dense = toeplitz(table.to(q.dtype), q.shape[2])[None]
        kept = self.kept(q, k)
        return dense if kept is None else dense.masked_fill(~kept, -torch.inf)
