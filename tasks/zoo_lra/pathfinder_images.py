"""Pathfinder images: every one a pure function of a seed, a stream and its number.

Kim*, Linsley* et al. 2020 (Disentangling neural mechanisms for perceptual grouping, ICLR) as set
by Tay et al. 2020 (arXiv 2011.04006): two long contours of paddles and short distractors; two
markers stand at the ends of one contour (label 1) or at ends of two (label 0).

The rules are those of the published generator (drewlinsley/pathfinder at ab9c130), its slips
among them: a distractor may touch the last paddle of the first contour, and first paddles look for
space a pixel aside of where they go. Fed with the same choices, that program gives the same
bytes. Only the draws differ: whole words of Philox 4x64 instead of a global Mersenne twister, so
a place of the circle is chosen to 29 bits, by odds to 20.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_lra.pathfinder_growing import OUT_OF_WORDS, draw, grow
from zoo_lra.pathfinder_kit import Places, kit
from zoo_lra.pathfinder_rules import Rules
from zoo_lra.pathfinder_strokes import WHITE, Plane

WORDS = 1024
"""Drawn at first."""
MORE = 8
"""An image that needs more begins again with so many times as many, of which the first are the
same: what was in vain is then a small part."""
VALUES = WHITE + 1


class Image(NamedTuple):
    """One image and what is in it."""

    pixels: Plane
    """(size, size)"""
    label: int
    """1 where both markers are on one contour."""
    ends: Places
    """(2, 2) (y, x) of the markers."""
    targets: Places
    """(2, contour, 3) (y, x, direction) of their paddles."""
    distractors: Places
    """(n, distractor, 3) the same; the first direction of one left out is -1."""


def images(rules: Rules, key: tuple[int, int], first: int, count: int) -> Iterator[Image]:
    """Numbers ``first`` to ``first + count`` of the endless sequence that ``key`` names."""
    for number in range(first, first + count):
        yield image(rules, key, number)


def image(rules: Rules, key: tuple[int, int], number: int) -> Image:
    """One image of the sequence."""
    size = rules.size
    targets = np.empty((2, rules.contour, 3), np.int64)
    distractors = np.empty((rules.distractors, rules.distractor, 3), np.int64)
    drawn, at = WORDS, OUT_OF_WORDS
    while at == OUT_OF_WORDS:
        words = _words(key, number, drawn)
        label = int(words[0] >> 31)
        choices = len(rules.margins)
        tables = kit(rules, rules.margins[int(words[1] * choices) >> 32])
        # the last word is for the markers
        at = grow(tables, words[:-1], 1 + (choices > 1), targets, distractors)
        drawn *= MORE
    origin = int(words[at] >> 31)
    ends = np.stack([targets[origin, 0, :2], targets[origin if label else 1 - origin, -1, :2]])
    planes = np.zeros((3, size, size), np.uint8)
    draw(tables, targets, distractors, ends, planes)
    return Image(_shaded(rules, planes), label, ends, targets, distractors)


def _words(key: tuple[int, int], number: int, count: int) -> Places:
    """Raw words of 32 bits, the lower half of each 64 first on every machine."""
    raw = np.random.Philox(key=list(key), counter=[0, 0, 0, number]).random_raw(count // 2)
    return raw.astype("<u8", copy=False).view("<u4").astype(np.int64)


def _shaded(rules: Rules, planes: Plane) -> Plane:
    """The brightest of the planes, each by its contrast, stretched to 0..255."""
    _, ranks = _ladder(rules.target_contrast, rules.distractor_contrast)
    rank = np.maximum(ranks[0][planes[0]], ranks[1][planes[1]])
    np.maximum(rank, ranks[2][planes[2]], out=rank)
    low, high = int(rank.min()), int(rank.max())
    shades = _shades(rules.target_contrast, rules.distractor_contrast, low, high)
    shaded: Plane = shades[rank]
    return shaded


@lru_cache(maxsize=8)
def _ladder(target: float, distractor: float) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """All values that a pixel may have, rising, and (3, 256) which of them a byte stands for.

    Paddles are kept in single precision, markers in double: so does the original.
    """
    plain = np.arange(VALUES) / WHITE
    paddles = [(plain * contrast).astype(np.float32) for contrast in (target, distractor)]
    each = np.concatenate([*(part.astype(np.float64) for part in paddles), plain])
    values, ranks = np.unique(each, return_inverse=True)
    return values, ranks.astype(np.uint16).reshape(3, VALUES)


@lru_cache(maxsize=512)
def _shades(target: float, distractor: float, low: int, high: int) -> Plane:
    """Grey of every value where the darkest is ``low`` and the brightest ``high``."""
    values, _ = _ladder(target, distractor)
    scale = float(WHITE) / (values[high] - values[low])
    grey = (values - values[low]) * scale
    shades: Plane = (grey.clip(0, WHITE) + 0.5).astype(np.uint8)
    return shades
