"""How a cost grows: overhead + c n^p fitted to what was measured, with an interval of p."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import f as f_distribution

LEAST_POINTS = 5
LEAST_RANGE = 10.0
"""Longest over shortest length: under a decade an exponent tells nothing of what comes after."""
EXPONENTS = (0.0, 4.0)
"""Where p is looked for; an end of its interval that stands here is not known to be smaller."""
FLAT = 1.05
"""What varies by less from its least to its largest does not grow, however quietly measured."""

QUIET = 0.15
"""What scatters by more than this share around one value may grow unseen."""


@dataclass(frozen=True)
class Growth:
    """overhead + scale n^exponent, in the units of the values."""

    exponent: float
    low: float
    high: float
    """95 % interval of the exponent: those whose best fit is not worse by an F-test."""
    overhead: float
    scale: float
    r2: float
    """Share of the variance of the logarithms that the fit explains."""
    points: int
    shortest: float
    longest: float


@dataclass(frozen=True)
class Refused:
    """Why there is no exponent."""

    reason: str


def growth(lengths: Sequence[float], values: Sequence[float]) -> Growth | Refused:
    """The fit by least squares of logarithms, so that each length counts the same.

    The overhead is never negative. The interval is by profile likelihood: the overhead and the
    exponent are far from independent, and a symmetric interval from the Jacobian misses.
    """
    n, y = np.asarray(lengths, float), np.asarray(values, float)
    if refusal := _too_little(n, y):
        return Refused(refusal)
    x, target = np.log(n / n.min()), np.log(y)
    spread = float(((target - target.mean()) ** 2).sum())
    ps = np.linspace(*EXPONENTS, 161)
    squares, share = _best(ps, x, target)
    step = ps[1] - ps[0]
    for _ in range(4):  # close in on the best exponent
        at = ps[int(squares.argmin())]
        near = np.clip(np.linspace(at - step, at + step, 21), *EXPONENTS)
        ps, squares, share = near, *_best(near, x, target)
        step /= 10
    at, least, lost = (float(a[int(squares.argmin())]) for a in (ps, squares, share))
    free = len(n) - 3
    noise = max(least, len(n) * 1e-14)  # what was computed, not measured, fits to the last digit
    worse = (spread - noise) / 2 / (noise / free)
    if y.max() < FLAT * y.min() or worse < f_distribution.ppf(0.95, 2, free):
        flat = spread < len(n) * QUIET**2 or np.polyfit(x, target, 1)[0] <= 0
        seen = "no growth is seen" if flat else "the values scatter too much"
        return Refused(f"{seen} from {n.min():g} to {n.max():g}")
    allowed = noise * (1 + f_distribution.ppf(0.95, 1, free) / free)
    low, high = _interval(at, allowed, x, target)
    level = float(np.exp(np.mean(target - np.log(lost + (1 - lost) * np.exp(at * x)))))
    return Growth(
        exponent=at,
        low=low,
        high=high,
        overhead=level * lost,
        scale=level * (1 - lost) / float(n.min()) ** at,
        r2=1 - least / spread,
        points=len(n),
        shortest=float(n.min()),
        longest=float(n.max()),
    )


def _too_little(n: Any, y: Any) -> str | None:
    """Why these points allow no fit."""
    if len(set(n.tolist())) < LEAST_POINTS:
        return f"{len(set(n.tolist()))} lengths; an exponent takes {LEAST_POINTS}"
    if n.max() < LEAST_RANGE * n.min():
        return f"lengths from {n.min():g} to {n.max():g}; an exponent takes a factor of 10"
    if not (np.isfinite(y) & (y > 0)).all():
        return "a value is not above zero"
    return None


def _best(ps: Any, x: Any, target: Any) -> tuple[Any, Any]:
    """For each exponent the least sum of squares, and the overhead's share of the first value.

    With the share given the level is a mean, so one number is left to search: the share, by its
    logit, on a grid that closes in. The grid holds no overhead at all too.
    """
    middle, reach = np.zeros_like(ps), 18.0
    best, share = np.full_like(ps, np.inf), np.zeros_like(ps)
    for _ in range(5):
        z = middle[:, None] + np.linspace(-reach, reach, 41)
        lost = np.concatenate([1 / (1 + np.exp(-z)), np.zeros((len(ps), 1))], axis=1)[..., None]
        off = target - np.log(lost + (1 - lost) * np.exp(ps[:, None, None] * x))
        squares = ((off - off.mean(-1, keepdims=True)) ** 2).sum(-1)
        pick = squares.argmin(1)
        rows = np.arange(len(ps))
        better = squares[rows, pick] < best
        best = np.where(better, squares[rows, pick], best)
        share = np.where(better, lost[rows, pick, 0], share)
        middle = z[rows, np.minimum(pick, z.shape[1] - 1)]
        reach /= 10
    return best, share


def _interval(at: float, allowed: float, x: Any, target: Any) -> tuple[float, float]:
    """The farthest exponents on both sides of the best that still fit as well as is allowed."""
    ends = []
    for bound in EXPONENTS:
        inside, outside = at, bound
        if _best(np.array([bound]), x, target)[0][0] <= allowed:
            ends.append(bound)
            continue
        for _ in range(3):
            ps = np.linspace(inside, outside, 21)
            beyond = _best(ps, x, target)[0] > allowed
            first = int(beyond.argmax())
            inside, outside = float(ps[max(first - 1, 0)]), float(ps[first])
        ends.append(inside)
    return ends[0], ends[1]
