"""Pairs of Shakespeare's passages, of the same work or not: a stand-in for pairs of papers."""

from collections.abc import Iterator
from itertools import combinations, cycle, islice
from pathlib import Path

import numpy as np

import zoo
from zoo_lra.copies import Copies
from zoo_lra.orders import shuffled
from zoo_lra.packed import Corpus, Example, gathered
from zoo_lra.rows import Ints
from zoo_lra.sources import SHAKESPEARE

PASSAGE = 4000
"""Bytes, as many as the arena reads of a paper."""
PAIRS = {"train": 8000, "valid": 1000, "test": 1000}
SHARES = {"train": 6, "valid": 2, "test": 2}
"""Tenths of every work's passages; no passage is in two splits."""
KEYS = {"train": 1, "valid": 2, "test": 3}
WORKS = 42
Passage = tuple[int, int]
"""A work and its passage number."""


def find(root: Path) -> Path | None:
    """The folder of the works."""
    folders = [root / tail for tail in ("", "texts", "shksprdata/texts")]
    folders += sorted(root.glob("shakespeare-*/shksprdata/texts"))
    return next((at for at in folders if any(at.glob("*_gut.txt"))), None)


COPIES = Copies(SHAKESPEARE, "the folder of hamlet_gut.txt and the other works", find, instead=())


def read(place: Path) -> Corpus:
    """10,000 pairs of 4,000 bytes; label 1 where both are of one work. Raises DataError."""
    return gathered(_examples(place))


def _examples(place: Path) -> Iterator[Example]:
    works = [path.read_bytes() for path in sorted(place.glob("*_gut.txt"))]
    if len(works) != WORKS:
        raise zoo.DataError(f"{place}: {len(works)} works; wanted {WORKS}, {COPIES.wanted}")
    parts = divided([len(work) // PASSAGE for work in works])
    for split, count in PAIRS.items():
        for label, pair in pairs(parts[split], count, KEYS[split]):
            first, second = (
                works[work][PASSAGE * number : PASSAGE * (number + 1)] for work, number in pair
            )
            yield Example(split, label, (first, second))


def divided(passages: list[int]) -> dict[str, list[list[int]]]:
    """Numbers of the passages of each split, work by work, of works with so many ``passages``."""
    parts: dict[str, list[list[int]]] = {split: [] for split in SHARES}
    for work, count in enumerate(passages):
        order, start, share = shuffled(count, (0, work)).tolist(), 0, 0
        for split, tenths in SHARES.items():
            share += tenths
            end = round(count * share / 10)
            parts[split].append(order[start:end])
            start = end
    return parts


def pairs(
    works: list[list[int]], count: int, key: int
) -> list[tuple[int, tuple[Passage, Passage]]]:
    """``count`` labelled pairs, half of them of one work, of the passages of each work.

    Pairs of one work are drawn among all there are, without twins. The others have the same first
    passages and the same second ones, put together anew: so what stands in one tower says
    nothing about the label.
    """
    alike = [((w, a), (w, b)) for w, mine in enumerate(works) for a, b in combinations(mine, 2)]
    half = count // 2
    if len(alike) < half:
        raise zoo.DataError(f"the works make {len(alike)} pairs of one work; wanted {half}")
    chosen = [alike[row] for row in shuffled(len(alike), (1, key))[:half].tolist()]
    home = np.array([first[0] for first, _ in chosen])
    other = rearranged(home, key)
    apart = [(chosen[i][0], chosen[j][1]) for i, j in enumerate(other.tolist())]
    both = [(1, pair) for pair in chosen] + [(0, pair) for pair in apart]
    return [both[row] for row in shuffled(count, (2, key)).tolist()]


def rearranged(home: Ints, key: int) -> Ints:
    """A random permutation after which no place has what is of its own work, ``home``.

    Places of their own work change with others, until none is left; which is soon unless some
    work has nearly half of all.
    """
    order = shuffled(len(home), (3, key))
    others = cycle(shuffled(len(home), (4, key)).tolist())
    for place in np.flatnonzero(home[order] == home).tolist():
        for other in islice(others, len(home)):
            mine, its = home[order[place]], home[order[other]]
            if mine != home[other] and its != home[place]:
                order[[place, other]] = order[[other, place]]
                break
    assert not (home[order] == home).any()
    return order
