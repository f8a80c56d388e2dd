"""One comparison, and what it says of a bound: for it, against it, or nothing yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Literal, NamedTuple

from zoo_leaderboard.findings.spec import Test
from zoo_leaderboard.statistics import compare

Says = Literal["supports", "contradicts", "open"]
SURE = 0.05


class Names(NamedTuple):
    """Who is compared, where: the anchor of a track or of a group of profiles, and the length."""

    track: str
    a: str
    b: str
    length: int | None = None
    note: str = ""
    """What must be said beside it."""


@dataclass(frozen=True)
class Evidence:
    """``difference`` with its 95 % interval is a / b where a ratio is asked for, or a's value."""

    names: Names
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, of the bound; None where the figures are exact or show no spread."""
    n_a: int
    n_b: int
    side: int
    """1: the whole interval is on the claim's side of the bound, -1: on the other, 0: neither."""
    test: str
    """Which test gave p: `paired t`, `Welch`, ...; `exact` where it is counted."""
    bound: float
    """What decides, in the terms of ``difference``."""


def says(evidence: Evidence, adjusted: float | None) -> Says:
    """After Holm's correction over the comparisons of the claim."""
    if evidence.side == 0 or (evidence.test != "exact" and (adjusted is None or adjusted >= SURE)):
        return "open"
    return "supports" if evidence.side > 0 else "contradicts"


def sampled(
    names: Names,
    a: Mapping[int, float],
    b: Mapping[int, float],
    test: Test,
    sign: int,
    metric: str = "",
) -> Evidence:
    """From values by seed. ``sign`` is -1 where less is better and ``a`` shall be better; the
    interval shown stays within what two values of ``metric`` can differ by.
    """
    if test.measure == "ratio":
        scale = {"a": logs(a), "b": logs(b)}
        bound = log(test.bound)
    else:
        scale = {"a": dict(a), "b": dict(b)}
        bound = sign * test.bound if test.measure == "difference" else test.bound
    if test.measure == "value":
        scale["b"] = dict.fromkeys(a, 0.0)
    shifted = {seed: value - bound for seed, value in scale["a"].items()}
    plain = compare(scale["a"], scale["b"], metric)
    judged = compare(shifted, scale["b"])
    back = ratio if test.measure == "ratio" else float
    low, high, middle = (
        None if x is None else back(x) for x in (plain.low, plain.high, plain.difference)
    )
    toward = (sign if test.measure == "difference" else 1) * (1 if test.at_most is None else -1)
    return Evidence(
        names,
        middle,
        low,
        high,
        judged.p,
        len(scale["a"]),
        0 if test.measure == "value" else len(scale["b"]),
        side(judged.low, judged.high, toward),
        ("one-sample t" if test.measure == "value" else plain.test) or "",
        back(bound),
    )


def counted(
    names: Names, a: float, b: float, test: Test, sign: int, n: tuple[int, int]
) -> Evidence:
    """From figures that are exact, so that the interval is a point."""
    toward = 1 if test.at_most is None else -1
    if test.measure == "ratio" and not b:
        return Evidence(names, None, None, None, None, *n, 0, "", test.bound)
    found = {"difference": a - b, "ratio": a / b if b else 0.0, "value": a}[test.measure]
    sign = sign if test.measure == "difference" else 1
    gap = found - sign * test.bound
    where = side(gap, gap, sign * toward)
    return Evidence(names, found, found, found, None, *n, where, "exact", sign * test.bound)


def side(low: float | None, high: float | None, toward: int) -> int:
    """Where the interval of what is above the bound lies."""
    if low is None or high is None or low <= 0 <= high:
        return 0
    return toward if low > 0 else -toward


def ratio(logarithm: float) -> float:
    """Back from the logarithm; what no float holds ends at the largest."""
    return exp(max(-700.0, min(logarithm, 700.0)))


def logs(values: Mapping[int, float]) -> dict[int, float]:
    """Ratios are differences of these; what is not above 0 has none and drops out."""
    return {seed: log(value) for seed, value in values.items() if value > 0}
