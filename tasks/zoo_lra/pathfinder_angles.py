"""Sines and angles to the last bit on every machine: what a C library rounds is its own affair."""

from decimal import Decimal, localcontext
from functools import cache
from math import atan2, pi

DIGITS = 50


@cache
def sine(angle: float) -> float:
    """The double nearest to the sine of ``angle`` (radians, |angle| < 10)."""
    return float(_series(angle, first=1))


@cache
def cosine(angle: float) -> float:
    """The double nearest to the cosine."""
    return float(_series(angle, first=0))


@cache
def angle_of(y: int, x: int) -> float:
    """The double nearest to the angle of the direction (x, y), -pi to pi; not of (0, 0)."""
    near = atan2(y, x)
    with localcontext(prec=DIGITS):
        sin, cos = _series(near, first=1), _series(near, first=0)
        # the remaining angle is some 1e-16, and as good as its tangent
        return float(Decimal(near) + (y * cos - x * sin) / (x * cos + y * sin))


def half_turn(angle: float) -> float:
    """The opposite direction, between -pi and pi as the original turns it."""
    return angle + pi if angle < 0 else angle - pi


def _series(angle: float, first: int) -> Decimal:
    """Taylor's series of the sine (``first`` is 1) or cosine (0)."""
    with localcontext(prec=DIGITS):
        x = Decimal(angle)
        term = total = x if first else Decimal(1)
        power = first
        while abs(term) > Decimal(10) ** -DIGITS:
            term *= -x * x / ((power + 1) * (power + 2))
            total += term
            power += 2
        return total
