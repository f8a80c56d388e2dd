"""How a cost grows: overhead + c n^p fitted to what was measured, with an interval of p."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from scipy.special import fdtri

LEAST_POINTS = 5
LEAST_RANGE = 10.0
"""Longest over shortest length: under a decade an exponent tells nothing of what comes after."""
EXPONENTS = np.linspace(0, 4, 41)
"""Where p is looked for; an end of its interval that stands here is not known to be smaller."""
FLAT = 1.05
"""What varies by less from its least to its largest does not grow, however quietly measured."""

LOGITS = np.linspace(-18, 18, 37)
"""Where the overhead's share of the first value is looked for, by its logit."""
CHUNK = 2048
"""Rows at once, which the cache still holds."""
TINY = 1e-30
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
    return many(lengths, [values])[0]


def many(lengths: Sequence[float], table: Sequence[Sequence[float]]) -> list[Growth | Refused]:
    """``growth`` of many rows of values at the same lengths, at once."""
    n, whole = np.asarray(lengths, float), np.asarray(table, float).reshape(len(table), -1)
    if len(set(n.tolist())) < LEAST_POINTS:
        return [Refused(f"{len(set(n))} lengths; an exponent takes {LEAST_POINTS}")] * len(table)
    if n.max() < LEAST_RANGE * n.min():
        reason = f"lengths from {n.min():g} to {n.max():g}; an exponent takes a factor of 10"
        return [Refused(reason)] * len(table)
    found: list[Growth | Refused] = [Refused("a value is not above zero")] * len(table)
    good = np.flatnonzero((np.isfinite(whole) & (whole > 0)).all(1))
    for start in range(0, len(good), CHUNK):
        rows = good[start : start + CHUNK]
        for i, one in zip(rows, _fits(n, np.log(whole[rows])), strict=True):
            found[i] = one
    return found


def _fits(n: Any, target: Any) -> list[Growth | Refused]:
    """Of rows (r, n) of logarithms that can be fitted."""
    x, free = np.log(n / n.min()), len(n) - 3
    level = target.mean(1)
    t = target - level[:, None]
    spread = (t**2).sum(1)
    p, z, least = _best(x, t)
    noise = np.maximum(least, len(n) * 1e-14)  # what was computed fits to the last digit
    worse = (spread - noise) / 2 / (noise / free)
    allowed = noise * (1 + fdtri(1, free, 0.95) / free)
    low, high = (_end(side, p, z, noise, allowed, x, t) for side in (-1, 1))
    critical = fdtri(2, free, 0.95)
    trend, reach, lost = t @ (x - x.mean()), np.ptp(t, axis=1), _share(z)
    shape = lost[:, None] + (1 - lost)[:, None] * np.exp(p[:, None] * x)
    unit = np.exp(level - np.log(shape).mean(1))
    found: list[Growth | Refused] = []
    for i in range(len(t)):
        if reach[i] < log(FLAT) or worse[i] < critical:
            flat = spread[i] < len(n) * QUIET**2 or trend[i] <= 0
            seen = "no growth is seen" if flat else "the values scatter too much"
            found.append(Refused(f"{seen} from {n.min():g} to {n.max():g}"))
            continue
        found.append(
            Growth(
                exponent=float(p[i]),
                low=float(low[i]),
                high=float(high[i]),
                overhead=float(unit[i] * lost[i]),
                scale=float(unit[i] * (1 - lost[i]) / n.min() ** p[i]),
                r2=float(1 - least[i] / spread[i]),
                points=len(n),
                shortest=float(n.min()),
                longest=float(n.max()),
            )
        )
    return found


def _share(z: Any) -> Any:
    """The overhead's share of the first value, of its logit; the lowest is none at all."""
    return np.where(z <= LOGITS[0], 0.0, 1 / (1 + np.exp(-z)))


def _model(p: Any, z: Any, x: Any) -> tuple[Any, Any, Any]:
    """Logarithms of the model and their derivatives by p and z, (..., n) each, about their means:
    the level is a mean and needs no search.
    """
    lost, rise = _share(z)[..., None], np.exp(np.asarray(p)[..., None] * x)
    whole = lost + (1 - lost) * rise
    found = np.log(whole), x * (1 - lost) * rise / whole, lost * (1 - lost) * (1 - rise) / whole
    y, by_p, by_z = (part - part.mean(-1, keepdims=True) for part in found)
    return y, by_p, by_z


def _best(x: Any, t: Any) -> tuple[Any, Any, Any]:
    """Exponent, logit and sum of squares of each row, (r,): the best place of a grid, from which
    the search goes down; or a power with no overhead, whichever is nearer.
    """
    y = _model(EXPONENTS[:, None], LOGITS[None, :], x)[0].reshape(-1, len(x))
    place = ((y**2).sum(1) - 2 * t @ y.T).argmin(1)  # one product: the grid is that of all rows
    p, z, least = _descend(
        EXPONENTS[place // len(LOGITS)], LOGITS[place % len(LOGITS)], x, t, steps=30
    )
    away = x - x.mean()
    slope = np.clip(t @ away / (away @ away), EXPONENTS[0], EXPONENTS[-1])
    bare = ((t - slope[:, None] * away) ** 2).sum(1)
    simple = bare <= least
    return np.where(simple, slope, p), np.where(simple, LOGITS[0], z), np.minimum(least, bare)


def _descend(p: Any, z: Any, x: Any, t: Any, *, steps: int, given: bool = False) -> Any:
    """Down to the least sum of squares by Levenberg's and Marquardt's steps, all rows at once;
    with the exponents as they are where they are ``given``.
    """
    damping = np.full(len(t), 1e-3)
    y, by_p, by_z = _model(p, z, x)
    least = ((t - y) ** 2).sum(1)
    for _ in range(steps):
        off = t - y
        gz, d = (by_z * off).sum(1), (by_z**2).sum(1) * (1 + damping) + TINY
        if given:
            step_p, step_z = 0.0, gz / d
        else:
            gp, pz = (by_p * off).sum(1), (by_p * by_z).sum(1)
            a = (by_p**2).sum(1) * (1 + damping) + TINY
            whole = a * d - pz**2 + TINY**2
            step_p, step_z = (d * gp - pz * gz) / whole, (a * gz - pz * gp) / whole
        new_p = np.clip(p + np.clip(step_p, -0.5, 0.5), EXPONENTS[0], EXPONENTS[-1])
        new_z = np.clip(z + np.clip(step_z, -3, 3), LOGITS[0] + 0.01, LOGITS[-1])
        tried = _model(new_p, new_z, x)
        squares = ((t - tried[0]) ** 2).sum(1)
        better = squares < least
        p, z = np.where(better, new_p, p), np.where(better, new_z, z)
        least = np.where(better, squares, least)
        y, by_p, by_z = (
            np.where(better[:, None], new, old)
            for new, old in zip(tried, (y, by_p, by_z), strict=True)
        )
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e9)
    return p, z, least


def _given(p: Any, z: Any, x: Any, t: Any) -> tuple[Any, Any]:
    """The least sum of squares with these exponents, and its logit, looked for from ``z``."""
    _, z, least = _descend(p, np.clip(z, -4, 17), x, t, steps=6, given=True)
    bare = ((t - p[:, None] * (x - x.mean())) ** 2).sum(1)
    return np.minimum(least, bare), z


def _end(side: int, p: Any, z: Any, least: Any, allowed: Any, x: Any, t: Any) -> Any:
    """The farthest exponent on one side that still fits as well as is allowed.

    In growing steps until one does not, then by false position (Illinois) on the root of what is
    lost, which is about linear in the exponent. The first step is that of the linearised fit.
    """
    _, by_p, by_z = _model(p, z, x)
    own = (by_p**2).sum(1) - (by_p * by_z).sum(1) ** 2 / ((by_z**2).sum(1) + TINY)
    step = np.clip(np.sqrt((allowed - least) / np.maximum(own, TINY)), 1e-4, 1.0)
    wanted = np.sqrt(allowed - least)

    def excess(at: Any) -> Any:
        nonlocal z
        found, z = _given(at, z, x, t)
        return np.sqrt(np.maximum(found - least, 0)) - wanted

    inside, outside = p, np.clip(p + side * step, EXPONENTS[0], EXPONENTS[-1])
    below, above = -wanted, excess(outside)
    for _ in range(8):
        more = (above <= 0) & (outside != EXPONENTS[0 if side < 0 else -1])
        if not more.any():
            break
        inside, below = np.where(more, outside, inside), np.where(more, above, below)
        step = 2 * step
        outside = np.where(more, np.clip(p + side * step, EXPONENTS[0], EXPONENTS[-1]), outside)
        above = np.where(more, excess(outside), above)
    open_ended = above <= 0
    for _ in range(5):
        share = np.where(open_ended, 1, below) / np.where(open_ended, 1, below - above)
        at = inside + (outside - inside) * share
        off = excess(at)
        fits = off <= 0
        above = np.where(fits, above / 2, off)
        below = np.where(fits, off, below / 2)
        inside, outside = np.where(fits, at, inside), np.where(fits, outside, at)
    return np.where(open_ended, EXPONENTS[0 if side < 0 else -1], inside)
