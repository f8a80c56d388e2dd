"""A claim about speed, judged by profiles: one machine, one session, the same conditions."""

from collections.abc import Mapping
from math import log, sqrt
from typing import TYPE_CHECKING, Any

from zoo.profile.record import Profile, Timing
from zoo.profile.summary import anchor, cell, conditions
from zoo_leaderboard.findings.evidence import Evidence, Names, counted, ratio, side
from zoo_leaderboard.findings.spec import EXACT, Rows, Test
from zoo_leaderboard.statistics import quantile, tails

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board

SPREAD = 0.929
"""Standard error of a median over IQR / sqrt(n): 1.2533 (median's) / 1.349 (IQR of a normal)."""
LEAST = 5
"""Repeats under this make no interval; long calls are repeated less often."""


def comparisons(test: Test, board: "Board") -> tuple[list[Evidence], list[str]]:
    """Every pair of the latest session that measured both in turns, at its longest length."""
    every = sorted(board.profiles, key=lambda one: (one.session, one.profile_id))
    pairs = {
        str((conditions(a), cell(a), cell(b))): (a, b)
        for a in every
        if matches(a, test.a)
        for b in every
        if test.b and matches(b, test.b) and a is not b and together(a, b)
    }
    judged_ = [judged(test, a, b) for a, b in pairs.values()]
    found = [one for one in judged_ if isinstance(one, Evidence)]
    return found, [one for one in judged_ if isinstance(one, str)]


def together(a: Profile, b: Profile) -> bool:
    """Whether one session measured both under the same conditions."""
    sessions = [{session for _, session in turns(one)} for one in (a, b)]
    return bool(sessions[0] & sessions[1]) and conditions(a) == conditions(b)


def turns(profile: Profile) -> set[tuple[int, str]]:
    """Its lengths, each with the session that measured it."""
    return {(point.length, point.session or profile.session) for point in profile.points}


def matches(profile: Profile, wanted: Rows) -> bool:
    """Whether it fits every filter; a reference kernel, which is not made to be fast, fits none."""
    return (
        (profile.kernel != "reference" or "kernel" in wanted.options)
        and (not wanted.mixer or profile.mixer in wanted.mixer)
        and (not wanted.family or profile.family in wanted.family)
        and (not wanted.position or profile.position in wanted.position)
        and fits(profile.options, wanted.options)
    )


def fits(options: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the options have these values."""
    return all(key in options and options[key] == value for key, value in wanted.items())


def judged(test: Test, a: Profile, b: Profile) -> Evidence | str:
    """The evidence of one pair, or why it is none."""
    name, least = test.quantity.name, test.quantity.length or 1
    assert name is not None
    points = [{p.length: getattr(p, name) for p in one.points} for one in (a, b)]
    known = [{n for n, figure in at.items() if figure is not None} for at in points]
    shared = {length for length, _ in turns(a) & turns(b)}
    common = [length for length in known[0] & known[1] & shared if length >= least]
    if not common:
        return f"{label(a)} and {label(b)}: no length from {least} on at which both have {name}"
    if name not in EXACT:
        often = [n for n in common if min(at[n].n for at in points) >= LEAST]
        if not often:
            return f"{label(a)} and {label(b)}: fewer than {LEAST} repeats"
        common = often
    length = max(common)
    names = Names(anchor(conditions(a)), label(a), label(b), length)
    one, other = points[0][length], points[1][length]
    if name in EXACT:
        return counted(names, float(one), float(other), test, 1, (1, 1))
    return timed(names, one, other, test)


def timed(names: Names, a: Timing, b: Timing, test: Test) -> Evidence | str:
    """The ratio of two medians, its interval from the quartiles of their repeats."""
    pair = f"{names.a} and {names.b}"
    if min(a.low, b.low) <= 0:
        return f"{pair}: too short to time"
    error = SPREAD * sqrt(sum(log(x.high / x.low) ** 2 / x.n for x in (a, b)))
    middle, bound, freedom = log(a.median / b.median), log(test.bound), min(a.n, b.n) - 1
    if not error > 0:
        return Evidence(names, ratio(middle), None, None, None, a.n, b.n, 0, "", test.bound)
    half = quantile(freedom) * error
    low, high = middle - half, middle + half
    return Evidence(
        names=names,
        difference=ratio(middle),
        low=ratio(low),
        high=ratio(high),
        p=tails((middle - bound) / error, freedom),
        n_a=a.n,
        n_b=b.n,
        side=side(low - bound, high - bound, 1 if test.at_most is None else -1),
        test="medians of repeats",
        bound=test.bound,
    )


def label(profile: Profile) -> str:
    """The mixer, and the kernel that ran."""
    return f"{profile.mixer} ({profile.kernel})" if profile.kernel else profile.mixer
