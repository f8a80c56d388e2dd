"""How the contours of one image grow; compiled where Numba is, plain Python where it is not.

Two planes say what is taken: ``mask`` by the paddles themselves, ``wide`` with a margin around
them. A contour's newest paddle is in neither, or the next one could not touch it. All draws are
32-bit words from outside, one for each choice.

One file, longer than others: what is compiled and kept is made anew when its own file changes.
"""

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zoo
from zoo_lra.pathfinder_kit import DEGREES, HALF_FREE, Kit, Number, Places
from zoo_lra.pathfinder_strokes import WHITE, Plane

OUT_OF_WORDS = -1
WORD = 64
SIZE, PADDING, LOW = Number.SIZE, Number.PADDING, Number.LOW
CONTOUR, DISTRACTOR, DISTRACTORS = Number.CONTOUR, Number.DISTRACTOR, Number.DISTRACTORS
PADDLE_TRIALS, DISTRACTOR_TRIALS = Number.PADDLE_TRIALS, Number.DISTRACTOR_TRIALS
CROWDED, DEAD_END = Number.CROWDED, Number.DEAD_END
JOINT_Y, JOINT_X, DIRECTION, PADDLE_Y, PADDLE_X = range(5)
"""The state of a contour: the joint before its newest paddle, and that paddle."""


COMPILED = zoo.ops.fused.missing() is None
"""Whether loops over pixels are fast; plain Python leaves them to NumPy."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """By Numba where that is installed.

    Its leave to reorder sums changes nothing here: no sum of reals has more than two terms.
    """
    return zoo.ops.fused.jit(function) if COMPILED else function


@compiled
def free(kit: Kit, mask: Plane, y: int, x: int, direction: int) -> bool:
    """Whether a paddle there is clear of what is taken."""
    room, size = kit.room[direction], len(mask)
    half = len(room) // 2
    top, left = max(y - half, 0), max(x - half, 0)
    bottom, right = min(y + half + 1, size), min(x + half + 1, size)
    inside = room[top - y + half : bottom - y + half, left - x + half : right - x + half]
    if not COMPILED:
        return bool((mask[top:bottom, left:right] <= inside).all())
    for row in range(bottom - top):
        for column in range(right - left):
            if mask[top + row, left + column] > inside[row, column]:
                return False
    return True


@compiled
def paint(plane: Plane, patch: Plane, y: int, x: int) -> None:
    """The brighter of what is there and ``patch`` with its middle at (y, x)."""
    half, size = len(patch) // 2, len(plane)
    top, left = max(y - half, 0), max(x - half, 0)
    bottom, right = min(y + half + 1, size), min(x + half + 1, size)
    inside = patch[top - y + half : bottom - y + half, left - x + half : right - x + half]
    under = plane[top:bottom, left:right]
    if not COMPILED:
        np.maximum(under, inside, out=under)
        return
    for row in range(bottom - top):
        for column in range(right - left):
            under[row, column] = max(under[row, column], inside[row, column])


@compiled
def take(kit: Kit, mask: Plane, wide: Plane, contour: Places) -> None:
    """The newest paddle of a contour takes its space."""
    y, x, direction = contour[PADDLE_Y], contour[PADDLE_X], contour[DIRECTION]
    paint(mask, kit.masks[direction], y, x)
    paint(wide, kit.wide[direction], y, x)


@compiled
def begin(kit: Kit, contour: Places, y: int, x: int, direction: int, size: int) -> bool:
    """A first paddle from (y, x), if it and the joint before it are in the image."""
    far_y, far_x = ceil(y + kit.along[direction, 0]), ceil(x + kit.along[direction, 1])
    joint_y, joint_x = ceil(far_y + kit.back[direction, 0]), ceil(far_x + kit.back[direction, 1])
    contour[JOINT_Y], contour[JOINT_X] = joint_y, joint_x
    contour[DIRECTION], contour[PADDLE_Y], contour[PADDLE_X] = direction, y, x
    low = min(far_y, far_x, joint_y, joint_x)
    return bool(low >= 0 and max(far_y, far_x, joint_y, joint_x) < size)


@compiled
def extend(
    kit: Kit, words: Places, at: int, mask: Plane, wide: Plane, contour: Places
) -> tuple[int, bool]:
    """One paddle more: its far end on a circle around the next joint, by the odds of the turn.

    The newest paddle then takes its space. A place that is partly taken is as much less likely.
    """
    size, last = kit.numbers[SIZE], contour[DIRECTION]
    joint_y = ceil(contour[JOINT_Y] + kit.onward[last, 0])
    joint_x = ceil(contour[JOINT_X] + kit.onward[last, 1])
    sums = np.zeros(len(kit.circle), np.int64)
    total = 0
    for place in range(len(sums)):
        y, x = joint_y + kit.circle[place, 0], joint_x + kit.circle[place, 1]
        if 0 <= y < size and 0 <= x < size:
            total += kit.odds[last, place] * (WHITE - np.int64(wide[y, x]))
        sums[place] = total
    if total < kit.numbers[DEAD_END]:
        return at, False
    for _ in range(kit.numbers[PADDLE_TRIALS]):
        # 29 bits: the product has less than 63
        drawn = ((words[at] >> 3) * total) >> 29
        at += 1
        place = np.searchsorted(sums, drawn, side="right")
        y, x = joint_y + kit.circle[place, 0], joint_x + kit.circle[place, 1]
        if free(kit, mask, y, x, DEGREES + place):
            take(kit, mask, wide, contour)
            contour[JOINT_Y], contour[JOINT_X] = joint_y, joint_x
            contour[DIRECTION] = DEGREES + place
            contour[PADDLE_Y], contour[PADDLE_X] = y, x
            return at, True
    return at, False


@compiled
def note(paddle: Places, contour: Places) -> None:
    """Write the newest paddle down."""
    paddle[0], paddle[1] = contour[PADDLE_Y], contour[PADDLE_X]
    paddle[2] = contour[DIRECTION]


@compiled
def two_seeds(kit: Kit, words: Places, at: int, contours: Places) -> tuple[int, bool]:
    """First paddles: one anywhere well inside, one some way off in any direction."""
    size = kit.numbers[SIZE]
    for which in range(2):
        begun = False
        for _ in range(kit.numbers[PADDLE_TRIALS]):
            direction = (words[at] * DEGREES) >> 32
            word = words[at + 1]
            at += 2
            if which == 0:
                top, left, height, width = kit.middle[direction]
                if height * width == 0:
                    return at - 1, False
                index = (word * (height * width)) >> 32
                y, x = top + index // width, left + index % width
            else:
                around = (word * DEGREES) >> 32
                y = round(contours[0, PADDLE_Y] + kit.seed[around, 0])
                x = round(contours[0, PADDLE_X] + kit.seed[around, 1])
            begun = begin(kit, contours[which], y, x, direction, size)
            if begun:
                break
        if not begun:
            return at, False
    return at, True


@compiled
def two_contours(
    kit: Kit,
    words: Places,
    at: int,
    mask: Plane,
    wide: Plane,
    contours: Places,
    targets: Places,
) -> tuple[int, bool]:
    """The two long contours, a paddle of each in turn. Of the last two paddles only the second's
    space is taken afterwards: so does the original.
    """
    if at + 4 * kit.numbers[PADDLE_TRIALS] > len(words):
        return OUT_OF_WORDS, False
    targets[0, 1, 2] = -1
    at, done = two_seeds(kit, words, at, contours)
    if not done:
        return at, False
    note(targets[0, 0], contours[0])
    note(targets[1, 0], contours[1])
    for paddle in range(1, kit.numbers[CONTOUR]):
        for which in range(2):
            if at + kit.numbers[PADDLE_TRIALS] > len(words):
                return OUT_OF_WORDS, False
            at, done = extend(kit, words, at, mask, wide, contours[which])
            if not done:
                return at, False
            note(targets[which, paddle], contours[which])
    take(kit, mask, wide, contours[1])
    return at, True


@compiled
def reached(taken: NDArray[np.bool_], solid: Plane) -> NDArray[np.bool_]:
    """From where ``solid`` would meet what is ``taken``: 64 pixels of a row at a time."""
    size, half = len(taken), len(solid) // 2
    wide = taken.astype(np.uint64)
    # a word without pixels to either side
    row = np.zeros((size, (size + WORD - 1) // WORD + 2), np.uint64)
    for bit in range(min(WORD, size)):
        row[:, 1:-1] |= wide[:, bit::WORD] << np.uint64(bit)
    met = np.zeros_like(row[:, 1:-1])
    for across in range(-half, half + 1):
        if solid[:, across + half].any():
            if across > 0:
                moved = row[:, 1:-1] >> np.uint64(across) | row[:, 2:] << np.uint64(WORD - across)
            elif across < 0:
                moved = row[:, 1:-1] << np.uint64(-across) | row[:, :-2] >> np.uint64(WORD + across)
            else:
                moved = row[:, 1:-1].copy()
            for down in range(-half, half + 1):
                if solid[down + half, across + half]:
                    top, bottom = max(-down, 0), size - max(down, 0)
                    met[top:bottom] |= moved[top + down : bottom + down]
    out = np.zeros_like(taken)
    for bit in range(min(WORD, size)):
        out[:, bit::WORD] = (met >> np.uint64(bit) & np.uint64(1)) != 0
    return out


@compiled
def one_seed(kit: Kit, words: Places, at: int, mask: Plane, contour: Places) -> tuple[int, bool]:
    """A first paddle of a distractor, wherever its solid pixels are free."""
    size = len(mask)
    taken = mask > HALF_FREE
    if taken.size - taken.sum() < kit.numbers[CROWDED]:
        return at, False
    taken[0], taken[size - 1] = True, True
    taken[:, 0], taken[:, size - 1] = True, True
    for _ in range(kit.numbers[PADDLE_TRIALS]):
        direction = (words[at] * DEGREES) >> 32
        at += 1
        if not kit.solid[direction].any():
            return at, False
        places = np.flatnonzero(~reached(taken, kit.solid[direction]))
        if len(places) == 0:
            return at, False
        place = places[(words[at] * len(places)) >> 32]
        at += 1
        if begin(kit, contour, place // size, place % size, direction, size):
            return at, True
    return at, False


@compiled
def one_contour(
    kit: Kit, words: Places, at: int, mask: Plane, wide: Plane, contour: Places, paddles: Places
) -> tuple[int, bool]:
    """A distractor; on failure the planes are spoilt."""
    if at + (2 + len(paddles)) * kit.numbers[PADDLE_TRIALS] > len(words):
        return OUT_OF_WORDS, False
    at, done = one_seed(kit, words, at, mask, contour)
    if not done:
        return at, False
    note(paddles[0], contour)
    for paddle in range(1, len(paddles)):
        at, done = extend(kit, words, at, mask, wide, contour)
        if not done:
            return at, False
        note(paddles[paddle], contour)
    take(kit, mask, wide, contour)
    return at, True


@compiled
def grow(kit: Kit, words: Places, at: int, targets: Places, distractors: Places) -> int:
    """Contours from the words after ``at``: how many were used, or OUT_OF_WORDS.

    Writes (y, x, direction) of paddles in order of growth: ``targets`` (2, contour, 3), and
    ``distractors`` (n, distractor, 3), whose first direction is -1 where none could be placed.
    """
    size, rim = kit.numbers[SIZE], kit.numbers[PADDING]
    empty = np.zeros((size, size), np.uint8)
    empty[:rim], empty[size - rim :] = WHITE, WHITE
    empty[:, :rim], empty[:, size - rim :] = WHITE, WHITE
    margin = (kit.wide.shape[1] - kit.masks.shape[1]) // 2
    around = np.zeros((size, size), np.uint8)
    rim += margin
    around[:rim], around[size - rim :] = WHITE, WHITE
    around[:, :rim], around[:, size - rim :] = WHITE, WHITE

    mask, wide = empty.copy(), around.copy()
    contours = np.zeros((2, 5), np.int64)
    done = False
    while not done:
        at, done = two_contours(kit, words, at, mask, wide, contours, targets)
        if at == OUT_OF_WORDS:
            return at
        # before the second paddle nothing is taken
        if not done and targets[0, 1, 2] >= 0:
            mask[:], wide[:] = empty, around
    contour = contours[0]
    for which in range(kit.numbers[DISTRACTORS]):
        distractors[which, 0, 2] = -1
        for _ in range(kit.numbers[DISTRACTOR_TRIALS]):
            empty[:], around[:] = mask, wide
            at, done = one_contour(kit, words, at, mask, wide, contour, distractors[which])
            if at == OUT_OF_WORDS:
                return at
            if done:
                break
            mask[:], wide[:] = empty, around
            distractors[which, 0, 2] = -1
    return at


@compiled
def draw(kit: Kit, targets: Places, distractors: Places, ends: Places, planes: Plane) -> None:
    """Contours into ``planes`` (3, size, size): targets, distractors, and markers at two ends."""
    for which in range(2):
        for paddle in targets[which]:
            paint(planes[0], kit.strokes[paddle[2]], paddle[0], paddle[1])
    for contour in distractors:
        if contour[0, 2] >= 0:
            for paddle in contour:
                paint(planes[1], kit.strokes[paddle[2]], paddle[0], paddle[1])
    classes, size = len(kit.markers), planes.shape[1]
    edge = classes // 2
    for y, x in ends:
        row = y if y < edge else max(edge, y - size + classes)
        column = x if x < edge else max(edge, x - size + classes)
        paint(planes[2], kit.markers[row, column], y, x)
