"""Errors a user can act on: the message names what came, what is allowed and what to type."""

from collections.abc import Iterable
from difflib import get_close_matches


class ZooError(Exception):
    """A mistake the user can mend. ``exit_code`` is what the shell gets."""

    exit_code = 2


class UnknownName(ZooError, KeyError):
    """Nothing of that name is on the shelf; a KeyError too, so that ``shelf.get`` works."""

    __str__ = Exception.__str__  # KeyError's own would print the message in quotes


class DataError(ZooError):
    """Data or a checkpoint that is missing, damaged or not what its checksum says."""

    exit_code = 3


class Diverged(ZooError):
    """The loss stopped being a number."""

    exit_code = 4


class DiskFull(ZooError):
    """A write did not fit."""

    exit_code = 6


class Killed(ZooError):
    """A signal asked the run to stop: at ``step``, its checkpoint written, or at once when None."""

    def __init__(self, signum: int, step: int | None = None) -> None:
        where = "at once" if step is None else f"at step {step}"
        super().__init__(f"stopped by signal {signum} {where}; the same command resumes")
        self.exit_code = 128 + signum


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'mamba'?`, or everything there is."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {', '.join(known)}" if known else "there is none"
