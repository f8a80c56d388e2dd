"""ListOps expressions, thousands at a time: one NumPy pass per level of depth, not one per node.

The rules are those of Nangia & Bowman 2018 (arXiv 1804.06028) as Long Range Arena set them (Tay
et al. 2020, arXiv 2011.04006): a node above the deepest level is an operator with probability
1/4, else a digit; an operator is one of four and takes 2..10 arguments, all uniform; a tree of
any length may come, and one outside the bounds is thrown away whole.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DIGITS = 10
MIN, MAX, MED, SUM, CLOSE = range(DIGITS, DIGITS + 5)
FEWEST, MOST = 2, 10
"""Arguments of an operator."""

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Rules(NamedTuple):
    """Which trees are kept; lengths count digits, operators and closers."""

    depth: int = 10
    longer_than: int = 500
    shorter_than: int = 2000


class Examples(NamedTuple):
    """Expressions one after the other: number ``i`` is ``tokens[offsets[i] : offsets[i + 1]]``."""

    tokens: Bytes
    offsets: Ints
    labels: Bytes


class Level(NamedTuple):
    """The nodes of one depth, tree after tree, and within a tree from left to right."""

    nodes: Ints
    """(trees,) how many each has."""
    symbol: Bytes
    """A digit or an operator."""
    operators: Ints
    """Which nodes are operators."""
    arguments: Ints
    """(operators,) how many; together they are the next level, in order."""


class Kept(NamedTuple):
    """The same, of the trees kept."""

    symbol: Bytes
    operators: Ints
    arguments: Ints


def draw(source: np.random.Philox, trees: int, rules: Rules) -> Examples:
    """Those of ``trees`` draws that the rules keep.

    About 0.083 of them under the default rules. Only raw words are taken from ``source``: their
    values are promised by the generator's definition, those of NumPy's distributions are not.
    """
    levels, length = grow(source, trees, rules)
    keep = (length > rules.longer_than) & (length < rules.shorter_than)
    kept = [level for level in (_kept(level, keep) for level in levels) if level.symbol.size]
    labels, lines = evaluate(kept)
    return Examples(write(kept, lines), _bounds(length[keep]), labels)


def grow(source: np.random.Philox, trees: int, rules: Rules) -> tuple[list[Level], Ints]:
    """Levels from the root down, and the number of tokens of each tree.

    A tree that is already too long grows no further; its length is then a lower bound.
    """
    levels: list[Level] = []
    nodes = np.ones(trees, np.int64)
    length = nodes.copy()
    while nodes.any():
        word = _words(source, int(nodes.sum()))
        deepest = len(levels) + 1 == rules.depth
        # Two bits say operator or digit, two which operator, 28 which digit or how many
        # arguments: a bias below 1 in 10 million.
        operators = np.flatnonzero(word & 3 == 0) if not deepest else np.empty(0, np.int64)
        symbol = ((word >> 4) * np.uint32(DIGITS) >> 28).astype(np.uint8)
        word = word[operators]
        symbol[operators] = MIN + (word >> 2 & 3)
        arguments = FEWEST + ((word >> 4) * np.uint32(MOST - FEWEST + 1) >> 28).astype(np.int64)
        levels.append(Level(nodes, symbol, operators, arguments))
        if deepest:
            break
        tree = np.repeat(np.arange(trees), nodes)[operators]
        nodes = np.bincount(tree, arguments, trees).astype(np.int64)
        length += nodes + np.bincount(tree, minlength=trees)
        # of a tree that is too long no level more is drawn
        nodes[length >= rules.shorter_than] = 0
    return levels, length


def evaluate(levels: list[Kept]) -> tuple[Bytes, list[Ints]]:
    """Values of the roots, and per level where each node would begin if it were all one line."""
    value, begins = np.empty(0, np.uint8), np.zeros(1, np.int64)
    lines: list[Ints] = []
    for level in reversed(levels):
        size = np.ones(level.symbol.size, np.int64)
        above = level.symbol.copy()
        if level.operators.size:
            kind = level.symbol[level.operators]
            bounds = _bounds(level.arguments)
            above[level.operators] = _apply(kind, value, bounds)
            size[level.operators] += 1 + np.diff(begins[bounds])
        value, begins = above, _bounds(size)
        lines.append(begins)
    return value, lines[::-1]


def write(levels: list[Kept], lines: list[Ints]) -> Bytes:
    """Every tree in prefix order: a node stands where its elder siblings end."""
    tokens = np.empty(lines[0][-1] if lines else 0, np.uint8)
    place = lines[0][:-1] if lines else np.empty(0, np.int64)
    for depth, level in enumerate(levels):
        tokens[place] = level.symbol
        if level.operators.size:
            below, bounds = lines[depth + 1], _bounds(level.arguments)
            start = place[level.operators] + 1
            inside = below[bounds]
            tokens[start + np.diff(inside)] = CLOSE
            place = below[:-1] + np.repeat(start - inside[:-1], level.arguments)
    return tokens


def join(parts: list[Examples]) -> Examples:
    """Several sets as one, in order."""
    lengths = [np.diff(part.offsets) for part in parts]
    return Examples(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([[0], np.cumsum(np.concatenate(lengths))]),
        np.concatenate([part.labels for part in parts]),
    )


def take(examples: Examples, rows: list[int]) -> Examples:
    """The examples at ``rows``, in that order."""
    bounds = examples.offsets.tolist()
    pieces = [examples.tokens[bounds[row] : bounds[row + 1]] for row in rows]
    lengths = np.array([0, *map(len, pieces)], np.int64)
    tokens = np.concatenate([np.empty(0, np.uint8), *pieces])
    return Examples(tokens, np.cumsum(lengths), examples.labels[np.array(rows, np.int64)])


def _words(source: np.random.Philox, count: int) -> NDArray[np.uint32]:
    """Random words of 32 bits, the lower half of each raw word first on every machine."""
    raw = source.random_raw((count + 1) // 2)
    return raw.astype("<u8", copy=False).view("<u4")[:count].astype(np.uint32, copy=False)


def _kept(level: Level, keep: NDArray[np.bool_]) -> Kept:
    """The nodes of the trees to keep."""
    mine = np.repeat(keep, level.nodes)
    symbol = level.symbol[mine]
    return Kept(symbol, np.flatnonzero(symbol >= DIGITS), level.arguments[mine[level.operators]])


def _apply(kind: Bytes, value: Bytes, bounds: Ints) -> Bytes:
    """What each operator makes of its arguments, ``value[bounds[i] : bounds[i + 1]]``."""
    result = np.empty(kind.size, np.uint8)
    ended = np.append(value, np.uint8(0))  # so that the last bound is a place
    for operator, fold in ((MIN, np.minimum), (MAX, np.maximum), (SUM, np.add)):
        which = np.flatnonzero(kind == operator)
        # every other segment is what lies between two operators of this kind: of no interest
        segments = np.stack([bounds[which], bounds[which + 1]], axis=1).ravel()
        result[which] = fold.reduceat(ended, segments, dtype=np.uint8)[::2] % DIGITS
    which = np.flatnonzero(kind == MED)
    first = bounds[which]
    result[which] = _median(value, first, bounds[which + 1] - first)
    return result


def _median(value: Bytes, first: Ints, arguments: Ints) -> Bytes:
    """The middle argument; of an even number the mean of the two, rounded down."""
    column = np.arange(MOST)
    index = np.minimum(first[:, None] + column, value.size - 1)
    rows = np.where(column < arguments[:, None], value[index], DIGITS)  # the surplus sorts last
    rows.sort(axis=1)
    row = np.arange(len(rows))
    return (rows[row, (arguments - 1) // 2] + rows[row, arguments // 2]) // 2


def _bounds(sizes: Ints | Bytes) -> Ints:
    """Where each of consecutive groups begins, and where the last one ends."""
    bounds = np.zeros(sizes.size + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds
