"""What is added to the scores of attention before the softmax: nothing, a bias, or -inf."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

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
        distance = key_at - query_at[:, None]
        seen = None
        if self.causal:
            seen = distance <= 0
        if self.band is not None:
            near = (distance >= -self.band.left) & (distance <= self.band.right)
            seen = near if seen is None else seen & near
        if self.lengths is not None and not self.causal:
            # right padding lies in the future: a causal query of a token sees none of it
            real = torch.arange(k.shape[2], device=k.device) < self.lengths.to(k.device)[:, None]
            kept = real[:, None, None, :] | (distance == 0)
            seen = kept if seen is None else seen & kept
        return seen

    def scores(self, q: Tensor, k: Tensor) -> Tensor | None:
        """What the position adds, broadcastable to (b, h, q, k), in at least float32; or None.

        Not for a position that needs the scores themselves.
        """
        if not isinstance(self.position, ScorePosition):
            return None
        query_at, key_at = self.at(q, k)
        if not isinstance(self.position, RelativePosition):
            added: Tensor = self.position(q, query_at, key_at)
            return added
        # one entry a distance, then a view: row i of (q, k) is the table from q - 1 - i on
        rows, columns = q.shape[2], k.shape[2]
        distance = torch.arange(1 - columns, rows, device=q.device)
        table = self.position.bias(distance)  # (h, k + q - 1)
        return table.unfold(-1, columns, 1).flip(1)[None]
