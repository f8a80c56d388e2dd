"""How a row's forward pass grows with the length, from its own records: the p of c · length^p."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zoo_leaderboard.row import Row

if TYPE_CHECKING:
    from zoo.profile.growth import Growth


def exponents(rows: Iterable[Row]) -> "dict[Row, Growth]":
    """The fit of every row that has one; few lengths or no growth give none."""
    from zoo.profile.growth import LEAST_POINTS, Growth, growth

    found = {}
    for row in rows:
        times = row.forward_ms
        if len(times) >= LEAST_POINTS:
            fit = growth(list(times), list(times.values()))
            if isinstance(fit, Growth):
                found[row] = fit
    return found
