"""All that is drawn and asked while contours grow, worked out once and kept in tables.

A paddle has one of some 400 directions: 360 whole degrees where a contour begins, and the ways
from a joint to the pixels of a circle around it where one goes on. So pictures, the space that
they need, steps and odds are tables by direction, and growing is a matter of looking them up.
Everything is a whole number but steps, whose last bit decides between two pixels: the original
rounds them up, with the noise of its sines (up from 4 by a step of sin(pi) is 5).
"""

from functools import lru_cache
from math import ceil, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_lra.pathfinder_angles import angle_of, cosine, half_turn, sine
from zoo_lra.pathfinder_rules import Rules
from zoo_lra.pathfinder_strokes import (
    WHITE,
    Plane,
    disc,
    lanczos,
    line,
    shrink,
    spread,
    weighed,
)

DEGREES = 360
"""Directions of first paddles, from -180; those of later ones follow."""
ODDS = 1 << 20
"""The weight of going straight on."""
HALF_FREE = 76
"""A pixel is taken where its mask is above .3 of white."""
TOGETHER = 1.8
"""Masks of two paddles may sum up to less than this."""

Reals = NDArray[np.float64]
Places = NDArray[np.int64]


class Kit(NamedTuple):
    """Tables for one margin; ``d`` stands for directions, ``s`` for the side of a paddle's patch.

    Coordinates are (y, x) throughout.
    """

    numbers: Places
    """See ``Number``."""
    strokes: Plane
    """(d, s, s) the picture of a paddle, around the end it is drawn from."""
    masks: Plane
    """(d, s, s) the space it takes."""
    wide: Plane
    """(d, s + 2 margin, s + 2 margin) the same, and the margin around it."""
    room: Plane
    """(d, s, s) the highest mask that lets it be drawn."""
    solid: Plane
    """(360, r, r) where a first paddle would meet what is there; all 0: no place will do."""
    middle: Places
    """(360, 4) top, left, height and width of the pixels that may begin the first contour."""
    along: Reals
    """(360, 2) from the first end to the second."""
    back: Reals
    """(360, 2) from there to the joint before the paddle."""
    seed: Reals
    """(360, 2) from the first end of one contour to that of the other."""
    onward: Reals
    """(d, 2) from a joint to the next."""
    circle: Places
    """(d - 360, 2) from a joint to where a paddle may end."""
    odds: Places
    """(d, d - 360) how likely that is after a paddle of direction ``d``."""
    markers: Plane
    """(e, e, m, m) a marker's picture by how near the middle is to the edges."""


class Number:
    """Places in ``Kit.numbers``, which compiled code reads."""

    SIZE, PADDING, LOW, CONTOUR, DISTRACTOR, DISTRACTORS = range(6)
    PADDLE_TRIALS, DISTRACTOR_TRIALS, CROWDED, DEAD_END = range(6, 10)


@lru_cache(maxsize=8)
def kit(rules: Rules, margin: int) -> Kit:
    """The tables for one of ``rules.margins``."""
    length, reach = rules.paddle, rules.paddle + margin
    first = [degree * pi / 180 for degree in range(-180, 180)]
    circle = _circle(reach)
    later = [angle_of(int(y), int(x)) for y, x in circle]
    # a later paddle is drawn from its far end
    drawn = first + [half_turn(angle) for angle in later]
    strokes, masks = _paddles(rules, margin, drawn)
    backwards = [angle + pi if angle + pi < pi else angle - pi for angle in first]
    solid = _solid(masks, reach)
    return Kit(
        numbers=_numbers(rules),
        strokes=strokes,
        masks=masks,
        wide=_wide(masks, margin),
        room=_room()[masks],
        solid=solid,
        middle=_middle(solid, rules),
        along=_steps(length, first),
        back=_steps(reach, backwards),
        seed=_steps(rules.seed_distance, [degree * pi / 180 for degree in range(DEGREES)]),
        onward=_steps(length + 2 * margin, first + later),
        circle=circle,
        odds=_odds(first + later, later, rules.continuity),
        markers=_markers(rules),
    )


def _numbers(rules: Rules) -> Places:
    numbers = {
        Number.SIZE: rules.size,
        Number.PADDING: rules.padding,
        Number.LOW: 2 * rules.seed_distance,
        Number.CONTOUR: rules.contour,
        Number.DISTRACTOR: rules.distractor,
        Number.DISTRACTORS: rules.distractors,
        Number.PADDLE_TRIALS: rules.paddle_trials,
        Number.DISTRACTOR_TRIALS: rules.distractor_trials,
        Number.CROWDED: ceil(rules.crowded * rules.size**2),
        # the original's bound on the sum of shares
        Number.DEAD_END: ceil(1e-4 * WHITE * ODDS),
    }
    return np.array([numbers[place] for place in sorted(numbers)], np.int64)


def _circle(radius: int) -> Places:
    """The pixels that a circle passes through in steps of about a pixel, in reading order."""
    step = 360.0 / (2 * radius * pi)
    angles = [index * step * pi / 180 for index in range(ceil(360 / step))]
    found = {(int(radius * sine(a) // 1), int(radius * cosine(a) // 1)) for a in angles}
    return np.array(sorted(found), np.int64)


def _paddles(rules: Rules, margin: int, angles: list[float]) -> tuple[Plane, Plane]:
    """Pictures and masks: drawn finer, dilated by the margin for the mask, then shrunk."""
    fine, length = rules.aa, rules.paddle
    half = length + ceil(rules.thickness) + margin
    middle, side = half * fine, 2 * half * fine + 1
    shape = disc(margin * fine)
    known: dict[tuple[int, int], tuple[Plane, Plane]] = {}
    for angle in angles:
        end = _end(middle, length * fine, angle)
        if end not in known:
            drawn = line(side, (middle, middle), end, round(rules.thickness * fine))
            small = 2 * half + 1
            known[end] = shrink(drawn, small, small), shrink(spread(drawn, shape), small, small)
    both = [known[_end(middle, length * fine, angle)] for angle in angles]
    return np.stack([stroke for stroke, _ in both]), np.stack([mask for _, mask in both])


def _end(middle: int, length: int, angle: float) -> tuple[int, int]:
    return ceil(middle + length * sine(angle)), ceil(middle + length * cosine(angle))


def _wide(masks: Plane, margin: int) -> Plane:
    """Masks with a margin all around."""
    shape = disc(margin)
    return np.stack([spread(np.pad(mask, margin), shape) for mask in masks])


def _room() -> Plane:
    """(256,) by what a paddle takes of a pixel, the most that may be taken already."""
    shares = (np.arange(WHITE + 1) / WHITE).astype(np.float32).astype(np.float64)
    together = shares[:, None] + shares < TOGETHER
    most: Plane = (together.sum(1) - 1).astype(np.uint8)
    return most


def _solid(masks: Plane, reach: int) -> Plane:
    """Where whole masks stand; the original's patch is a pixel off the middle, and so is this.

    None for a direction that the original loses: where a patch around a corner of the image has
    nothing inside, the library it dilates with answers minus infinity, and it then finds no place.
    """
    half = masks.shape[1] // 2
    first, last = half - reach - 1, half + reach
    solid: Plane = (masks[:DEGREES, first:last, first:last] == WHITE).astype(np.uint8)
    quarters = [slice(reach, None), slice(None, reach + 1)]
    for rows in quarters:
        for columns in quarters:
            solid[~solid[:, rows, columns].any((1, 2))] = 0
    return solid


def _middle(solid: Plane, rules: Rules) -> Places:
    """Where all of a first paddle's solid pixels stay twice the seeds' distance off the edges."""
    low, high = 2 * rules.seed_distance, rules.size - 2 * rules.seed_distance
    out = np.zeros((DEGREES, 4), np.int64)
    for direction, patch in enumerate(solid):
        if patch.any():
            offsets = np.argwhere(patch) - len(patch) // 2
            first, last = low - offsets.min(0), high - offsets.max(0)
            out[direction] = [*first, *np.maximum(last - first, 0)]
    return out


def _steps(length: int, angles: list[float]) -> Reals:
    return np.array([[length * sine(angle), length * cosine(angle)] for angle in angles])


def _odds(before: list[float], after: list[float], continuity: float) -> Places:
    """The squared cosine of the turn, which is as good as a right angle from some turn on."""
    odds = np.empty((len(before), len(after)), np.int64)
    for row, last in enumerate(before):
        for column, new in enumerate(after):
            turn = min(abs(new - last), 2 * pi - abs(new - last))
            cos = max(cosine(min(turn * continuity, pi / 2)), 0.0)
            odds[row, column] = round(cos * cos * ODDS)
    return odds


def _markers(rules: Rules) -> Plane:
    """A disc drawn finer and shrunk with the whole image, whose edges cut the window short.

    Middles nearer to an edge than this have each their own pictures.
    """
    size, fine = rules.size, rules.aa
    shape = disc(rules.radius * fine).astype(np.int64) * WHITE
    reach = len(shape) // 2
    half = ceil(rules.radius) + 3
    weights = lanczos(size * fine, size)
    classes = 2 * (half + 1) + 1
    places = [*range(half + 1), size // 2, *range(size - half - 1, size)]
    side = 2 * half + 1
    out = np.zeros((classes, classes, side, side), np.uint8)
    parts = [_near(weights, place, fine, reach, half) for place in places]
    for row, down in enumerate(parts):
        for column, across in enumerate(parts):
            between = weighed(shape @ across.T).astype(np.int64)
            out[row, column] = weighed(down @ between)
    return out


def _near(weights: Places, place: int, fine: int, reach: int, half: int) -> Places:
    """(2 half + 1, 2 reach + 1) weights around ``place``; none for what is outside."""
    around = np.pad(weights, ((half, half), (reach, reach)))
    return around[place : place + 2 * half + 1, place * fine : place * fine + 2 * reach + 1]
