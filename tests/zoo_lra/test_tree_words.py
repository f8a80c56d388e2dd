"""The vectorised generator makes of the same random words exactly what a plain one makes."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from zoo_lra.trees import Examples, Rules, draw

NAMES = [*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]"]


def replay(
    source: np.random.Philox, trees: int, depth: int, longer_than: int, shorter_than: int
) -> list[list[str]]:
    """What the generator must make of these very random words, in the order it takes them.

    Level by level, tree by tree, left to right; two nodes to a raw word, low half first, and what
    is left of the last raw word of a level is lost. A tree known to be too long takes no more.
    """
    roots: list[list[object]] = [[] for _ in range(trees)]
    known = [1] * trees
    here = list(enumerate(roots))
    for level in range(1, depth + 1):
        raw = [int(word) for word in source.random_raw((len(here) + 1) // 2)] if here else []
        halves = [half for word in raw for half in (word & 0xFFFFFFFF, word >> 32)]
        below: list[tuple[int, list[object]]] = []
        grown: list[tuple[int, list[list[object]]]] = []
        for (tree, node), word in zip(here, halves, strict=False):
            if word % 4 or level == depth:
                node.append(str((word >> 4) * 10 // 2**28))
                continue
            count = 2 + (word >> 4) * 9 // 2**28
            parts: list[list[object]] = [[] for _ in range(count)]
            node.extend([NAMES[10 + (word >> 2) % 4], *parts, "]"])
            known[tree] += 1 + count
            grown.append((tree, parts))
        for tree, parts in grown:
            if known[tree] < shorter_than:
                below += [(tree, part) for part in parts]
        here = below
    kept = [root for root, n in zip(roots, known, strict=True) if longer_than < n < shorter_than]
    return [list(_flat(root)) for root in kept]


def _flat(node: list[object]) -> Iterator[str]:
    for part in node:
        if isinstance(part, list):
            yield from _flat(part)
        else:
            yield str(part)


def rows(examples: Examples) -> list[list[str]]:
    bounds = examples.offsets.tolist()
    names = [NAMES[token] for token in examples.tokens.tolist()]
    return [names[a:b] for a, b in pairwise(bounds)]


@pytest.mark.parametrize(
    "rules",
    [Rules(), Rules(1, 0, 9), Rules(2, 0, 9), Rules(3, 3, 6), Rules(5, 9, 60), Rules(4, 0, 10**6)],
)
@pytest.mark.parametrize("trees", [1, 101])
def test_same_words_make_the_same_trees_as_node_by_node(rules: Rules, trees: int) -> None:
    for seed in range(3):
        fast = draw(np.random.Philox(key=seed), trees, rules)
        assert rows(fast) == replay(np.random.Philox(key=seed), trees, *rules)
