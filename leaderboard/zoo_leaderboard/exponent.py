"""How a row's forward pass grows with the length, from its own records: the p of c · length^p."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from zoo_leaderboard.row import Row

if TYPE_CHECKING:
    from zoo.profile.growth import Growth

LEAST = 5
"""Lengths that a fit takes; asked here so that a board without them need not import the fit."""


def exponents(rows: Iterable[Row]) -> "dict[Row, Growth]":
    """The fit of every row that has one; few lengths or no growth give none."""
    groups: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        if len(row.forward_ms) >= LEAST:
            groups.setdefault(tuple(row.forward_ms), []).append(row)
    if not groups:
        return {}
    from zoo.profile.growth import Growth, many

    return {
        row: fit
        for lengths, same in groups.items()
        for row, fit in zip(
            same, many(lengths, [list(row.forward_ms.values()) for row in same]), strict=True
        )
        if isinstance(fit, Growth)
    }


@dataclass(frozen=True, eq=False)
class Exponents:
    """Of the rows of a whole board: fitted together when the first is asked for."""

    rows: tuple[Row, ...]

    @cached_property
    def fits(self) -> "dict[Row, Growth]":
        """By row."""
        return exponents(self.rows)
