"""How examples are kept: rows of small integers that a task takes by number."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint8] | NDArray[np.uint16]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Rows(Protocol):
    """The examples of one split. Of pairs, rows ``2 i`` and ``2 i + 1`` belong to label ``i``."""

    @property
    def labels(self) -> Bytes:
        """(n,) class ids."""

    @property
    def width(self) -> int | None:
        """The length of every row; None where lengths differ."""

    def take(self, rows: Ints) -> list[Tokens]:
        """The tokens of each of ``rows``, as views where that can be."""


class Ragged(NamedTuple):
    """Rows one after the other: number ``i`` is ``tokens[offsets[i] : offsets[i + 1]]``."""

    tokens: Tokens
    offsets: Ints
    """(rows + 1,)"""
    labels: Bytes

    @property
    def width(self) -> int | None:
        """Lengths differ."""
        return None

    def take(self, rows: Ints) -> list[Tokens]:
        """Views."""
        starts, ends = self.offsets[rows].tolist(), self.offsets[rows + 1].tolist()
        return [self.tokens[start:end] for start, end in zip(starts, ends, strict=True)]


class Grid:
    """Rows of one length, in several arrays (rows, length) one after the other.

    The arrays may be memory-mapped and of different heights; nothing is read before it is taken.
    """

    def __init__(self, parts: Sequence[Tokens], labels: Bytes) -> None:
        assert sum(map(len, parts)) == len(labels)
        self.parts, self.labels = parts, labels
        self.ends: Ints = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self.width: int | None = parts[0].shape[1] if parts else 0

    def take(self, rows: Ints) -> list[Tokens]:
        """Views."""
        which = np.searchsorted(self.ends, rows, side="right")
        inside = rows - np.append(0, self.ends)[which]
        pairs = zip(which.tolist(), inside.tolist(), strict=True)
        return [self.parts[part][row] for part, row in pairs]
