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

    tree: Ints
    """Which tree each belongs to."""
    symbol: Bytes
    """A digit or an operator."""
    operators: Ints
    """Which nodes are operators."""
    arguments: Ints
    """(operators,) how many; together they are the next level, in order."""


def draw(source: np.random.Philox, trees: int, rules: Rules) -> Examples:
    """Those of ``trees`` draws that the rules keep.

    About 0.083 of them under the default rules. Only raw words are taken from ``source``: their
    values are promised by the generator's definition, those of NumPy's distributions are not.
    """
    levels, length = grow(source, trees, rules)
    keep = (length > rules.longer_than) & (length < rules.shorter_than)
    levels = [level for level in (_only(level, keep) for level in levels) if level.tree.size]
    offsets = np.concatenate([[0], np.cumsum(length[keep])])
    values, sizes = evaluate(levels)
    labels = values[0] if values else np.empty(0, np.uint8)
    return Examples(write(levels, sizes, offsets), offsets, labels)


def grow(source: np.random.Philox, trees: int, rules: Rules) -> tuple[list[Level], Ints]:
    """Levels from the root down, and the number of tokens of each tree.

    A tree that is already too long grows no further; its length is then a lower bound.
    """
    levels: list[Level] = []
    length = np.ones(trees, np.int64)
    tree = np.arange(trees)
    while tree.size:
        word = _words(source, tree.size)
        deepest = len(levels) + 1 == rules.depth
        # Two bits say operator or digit, two which operator, 28 which digit or how many
        # arguments: a bias below 1 in 10 million.
        operators = np.flatnonzero(word & 3 == 0) if not deepest else np.empty(0, np.int64)
        symbol = ((word >> 4) * np.uint32(DIGITS) >> 28).astype(np.uint8)
        word = word[operators]
        symbol[operators] = MIN + (word >> 2 & 3)
        arguments = FEWEST + ((word >> 4) * np.uint32(MOST - FEWEST + 1) >> 28).astype(np.int64)
        above = tree[operators]
        length += np.bincount(above, 1 + arguments, trees).astype(np.int64)
        levels.append(Level(tree, symbol, operators, arguments))
        open_ = length[above] < rules.shorter_than
        tree = np.repeat(above[open_], arguments[open_])
    return levels, length


def evaluate(levels: list[Level]) -> tuple[list[Bytes], list[Ints]]:
    """Value and number of tokens of every node, from the deepest level up."""
    values: list[Bytes] = []
    sizes: list[Ints] = []
    for level in reversed(levels):
        value, size = level.symbol.copy(), np.ones(level.tree.size, np.int64)
        if level.operators.size:
            first = _starts(level.arguments)
            kind = level.symbol[level.operators]
            value[level.operators] = _apply(kind, values[-1], first, level.arguments)
            size[level.operators] = 2 + np.add.reduceat(sizes[-1], first)
        values.append(value)
        sizes.append(size)
    return values[::-1], sizes[::-1]


def write(levels: list[Level], sizes: list[Ints], offsets: Ints) -> Bytes:
    """Every tree in prefix order: a node stands where its elder siblings end."""
    tokens = np.empty(offsets[-1], np.uint8)
    place = offsets[:-1]
    for depth, (level, size) in enumerate(zip(levels, sizes, strict=True)):
        tokens[place] = level.symbol
        start = place[level.operators]
        tokens[start + size[level.operators] - 1] = CLOSE
        if level.operators.size:
            before = _starts(sizes[depth + 1])
            shift = start + 1 - before[_starts(level.arguments)]
            place = before + np.repeat(shift, level.arguments)
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


def _only(level: Level, keep: NDArray[np.bool_]) -> Level:
    """The nodes of the trees kept, whose trees are numbered anew."""
    mine = keep[level.tree]
    symbol = level.symbol[mine]
    return Level(
        (np.cumsum(keep) - 1)[level.tree[mine]],
        symbol,
        np.flatnonzero(symbol >= DIGITS),
        level.arguments[mine[level.operators]],
    )


def _apply(kind: Bytes, value: Bytes, first: Ints, arguments: Ints) -> Bytes:
    """What each operator makes of its arguments, which are consecutive in ``value``."""
    median = np.flatnonzero(kind == MED)
    total = np.add.reduceat(value, first, dtype=np.uint8)  # at most 90: no overflow
    result = np.where(kind == SUM, total % DIGITS, np.minimum.reduceat(value, first))
    result = np.where(kind == MAX, np.maximum.reduceat(value, first), result)
    result[median] = _median(value, first[median], arguments[median])
    return result


def _median(value: Bytes, first: Ints, arguments: Ints) -> Bytes:
    """The middle argument; of an even number the mean of the two, rounded down."""
    column = np.arange(MOST)
    index = np.minimum(first[:, None] + column, value.size - 1)
    rows = np.where(column < arguments[:, None], value[index], DIGITS)  # the surplus sorts last
    rows.sort(axis=1)
    row = np.arange(len(rows))
    return (rows[row, (arguments - 1) // 2] + rows[row, arguments // 2]) // 2


def _starts(counts: Ints) -> Ints:
    """Where each of consecutive groups begins, from their sizes."""
    return np.cumsum(counts) - counts
