"""How channels are cut into heads, for Mamba-2 and its followers."""

import zoo

USUAL = (64, 32, 16)
"""The authors' width of a head, and what stands in for it where it does not divide."""


def usual_head(inner: int) -> int:
    """The width of a head where none is asked for: one head up to 64 channels, then 64 or less.

    Never less than 16: a model of heads two wide would be another model. 64, which ``whole`` then
    refuses, where none divides.
    """
    if inner <= USUAL[0]:
        return inner
    return next((width for width in USUAL if inner % width == 0), USUAL[0])


def whole(option: str, value: int, of: int, what: str) -> int:
    """``of / value``; raises ZooError, with the nearest that would do, if not whole."""
    if of % value:
        near = min((n for n in range(1, of + 1) if of % n == 0), key=lambda n: abs(n - value))
        raise zoo.ZooError(
            f"mixer.{option}={value} does not divide {what}; try mixer.{option}={near}"
        )
    return of // value
