"""Complexity as claimed: does a measured cost grow no faster than its mixer says?"""

from collections.abc import Mapping, Sequence
from math import log, sqrt
from typing import Any, Literal, NamedTuple

from zoo.profile.growth import LEAST_RANGE, Refused, growth

MARGIN = 0.1
"""By how much an exponent may pass the claim: caches and page faults alone cost that much."""
NEXT = 0.5
"""From one claim to the next steeper one, l to l sqrt l to l^2: an interval that holds both,
however narrow, does not tell them apart.
"""

CLAIMS: Mapping[str, Any] = {
    "l": lambda n: n,
    "l log l": lambda n: n * log(max(n, 2)),  # of one token there is no logarithm to divide by
    "l sqrt l": lambda n: n * sqrt(n),
    "l^2": lambda n: n * n,
}


class Verdict(NamedTuple):
    """`yes` where the growth is not above the claim, slower ones too."""

    verdict: Literal["yes", "no", "undecided"]
    reason: str


def effective(claimed: str, shortest: float, longest: float) -> float:
    """The exponent that a claim amounts to over a range of lengths."""
    cost = CLAIMS[claimed]
    return log(cost(longest) / cost(shortest)) / log(longest / shortest)


def unknown(claimed: str | None) -> Verdict:
    """Of nothing, or of what only a newer zoo can judge."""
    if claimed is None:
        return Verdict("undecided", "the mixer claims nothing")
    return Verdict("undecided", f"{claimed!r} is no claim that can be judged")


def claim(claimed: str | None, lengths: Sequence[int], values: Sequence[float]) -> Verdict:
    """Of what was measured, by the interval of its fitted exponent."""
    if claimed is None or claimed not in CLAIMS:
        return unknown(claimed)
    found = growth(lengths, values)
    if isinstance(found, Refused):
        flat = found.reason.startswith("no growth")
        return Verdict("yes" if flat else "undecided", found.reason)
    wanted = effective(claimed, found.shortest, found.longest)
    said = (
        f"n^{found.exponent:.2f} ({found.low:.2f} to {found.high:.2f}); {claimed} is n^{wanted:.2f}"
    )
    if found.low > wanted + MARGIN:
        return Verdict("no", f"it grows as {said} here")
    if found.high > wanted + NEXT:
        return Verdict("undecided", f"too uncertain: {said} here")
    slower = ", slower than claimed" if found.high < wanted - MARGIN else ""
    return Verdict("yes", f"it grows as {said} here{slower}")


def exact(claimed: str | None, lengths: Sequence[int], values: Sequence[float]) -> Verdict:
    """Of what was computed without noise: by the slope over the last doubling (or what comes
    nearest to it), where what is lower in order has faded most. Over less, a chunk more or less
    would be taken for growth.
    """
    if claimed is None or claimed not in CLAIMS:
        return unknown(claimed)
    if len(lengths) < 2 or lengths[-1] < LEAST_RANGE * lengths[0]:
        return Verdict("undecided", "lengths over less than a factor of 10")
    last = lengths[-1]
    i = max(i for i, length in enumerate(lengths) if 2 * length <= last)
    before = lengths[i]
    slope = log(values[-1] / values[i]) / log(last / before)
    wanted = effective(claimed, before, last)
    said = f"n^{slope:.2f} from {before} to {last}; {claimed} is n^{wanted:.2f} there"
    if slope > wanted + MARGIN / 2:
        return Verdict("no", f"they grow as {said}")
    slower = ", slower than claimed" if slope < wanted - MARGIN else ""
    return Verdict("yes", f"they grow as {said}{slower}")
