"""From which length on one mixer costs less than another, between what was measured."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from math import exp, log
from typing import NamedTuple


class Crossover(NamedTuple):
    """``length`` is where the two curves last cross; None where they do not in the range."""

    length: float | None
    text: str


CHEAP = {"ms": "faster", "bytes": "smaller"}


def crossover(
    field: str,
    a: str,
    b: str,
    first: Mapping[int, float],
    second: Mapping[int, float],
    close: Collection[int] = (),
) -> Crossover | None:
    """Of two curves, cost by length, at the lengths that both have; between them along straight
    lines of the logarithms. Nothing is said beyond them. None where they share no two lengths.

    At the lengths in ``close`` neither is ahead: noise could have turned what was measured there.
    """
    gap = {n: log(first[n] / second[n]) for n in sorted(first.keys() & second.keys())}
    if len(gap) < 2:
        return None
    cheap = CHEAP[field.rpartition("_")[2]]
    shortest, longest = min(gap), max(gap)
    span = f"from {shortest:,} to {longest:,}"
    apart = [n for n in gap if gap[n] and n not in close]
    if not apart:
        how = "equal" if not any(gap.values()) else "too close to call"
        return Crossover(None, f"{a} and {b} are {how} {span}")
    crossed = [(m, n) for m, n in pairwise(apart) if gap[m] * gap[n] < 0]
    winner = a if gap[apart[-1]] < 0 else b
    loser = b if winner == a else a
    if not crossed:
        sure = f"from {apart[0]:,} to {apart[-1]:,}"
        rest = "" if sure == span else f", too close to call elsewhere {span}"
        return Crossover(None, f"{winner} is {cheap} than {loser} {sure}{rest}")
    open_ = "" if apart[-1] == longest else f"; too close to call beyond {apart[-1]:,}"
    before, after = crossed[-1]
    share = gap[before] / (gap[before] - gap[after])
    length = exp(log(before) + share * log(after / before))
    often = f"; they cross {len(crossed)} times" if len(crossed) > 1 else ""
    text = f"{winner} is {cheap} than {loser} beyond a length of about {length:,.0f}"
    return Crossover(length, f"{text} ({span}{often}{open_})")
