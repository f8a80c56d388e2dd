"""How channels are cut into heads, for Mamba-2 and its followers."""

import zoo

USUAL, LEAST = 64, 16
"""The authors' width of a head, and the least that is chosen unasked: heads two wide would make
another model."""


def usual_head(inner: int) -> int:
    """The width of a head where none is asked for: 64, or less in the fewest equal heads.

    64 too where no width from 16 to 64 divides, which ``whole`` then refuses.
    """
    if inner <= USUAL:
        return inner
    counts = range(-(-inner // USUAL), inner // LEAST + 1)
    return next((inner // count for count in counts if inner % count == 0), USUAL)


def whole(option: str, value: int, of: int, what: str) -> int:
    """``of / value``; raises ZooError, with the nearest that would do, if not whole."""
    if of % value:
        near = min((n for n in range(1, of + 1) if of % n == 0), key=lambda n: abs(n - value))
        raise zoo.ZooError(
            f"mixer.{option}={value} does not divide {what}; try mixer.{option}={near}"
        )
    return of // value
