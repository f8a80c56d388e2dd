"""The vectorised generator against a plain one, and against the known figures."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from scipy import stats

from zoo_lra.trees import MED, Examples, Rules, draw, join, take

NAMES = [*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]"]
Tree = int | tuple[str, list["Tree"]]


def random_tree(source: random.Random, depth: int, level: int = 1) -> Tree:
    """A node and all below it."""
    if level == depth or source.random() > 0.25:
        return source.randrange(10)
    arguments = [
        random_tree(source, depth, level + 1) for _ in range(source.randint(2, 10))
    ]  # fmt: skip
    return source.choice(["MIN", "MAX", "MED", "SM"]), arguments


def tokens_of(tree: Tree) -> list[str]:
    if isinstance(tree, int):
        return [str(tree)]
    name, arguments = tree
    return [f"[{name}", *(token for part in arguments for token in tokens_of(part)), "]"]


def value_of(expression: str) -> int:
    """Read and work out an expression as printed."""
    tokens = iter(expression.split())
    result = _value(next(tokens), tokens)
    assert next(tokens, None) is None, "something follows the expression"
    return result


def _value(token: str, tokens: Iterator[str]) -> int:
    if token.isdigit():
        return int(token)
    arguments = []
    for following in tokens:
        if following == "]":
            break
        arguments.append(_value(following, tokens))
    assert 2 <= len(arguments) <= 10
    match token:
        case "[MIN":
            return min(arguments)
        case "[MAX":
            return max(arguments)
        case "[MED":
            return int(median(arguments))
        case "[SM":
            return sum(arguments) % 10
    raise AssertionError(token)


def rows(examples: Examples) -> list[list[str]]:
    bounds = examples.offsets.tolist()
    names = [NAMES[token] for token in examples.tokens.tolist()]
    return [names[a:b] for a, b in pairwise(bounds)]


@pytest.fixture(scope="module")
def many() -> Examples:
    """Of 30,000 draws under Long Range Arena's rules."""
    return draw(np.random.Philox(key=[1, 2]), 30_000, Rules())


def test_labels_are_the_values(many: Examples) -> None:
    some = take(many, list(range(0, len(many.labels), 10)))
    assert [value_of(" ".join(row)) for row in rows(some)] == some.labels.tolist()
    small = draw(np.random.Philox(key=5), 4000, Rules(4, 0, 200))
    assert [value_of(" ".join(row)) for row in rows(small)] == small.labels.tolist()
    assert set(small.tokens.tolist()) == set(range(15))


def test_small_trees_come_as_often_as_the_grammar_says() -> None:
    trees = 60_000
    counts = Counter(map(len, rows(draw(np.random.Philox(key=3), trees, Rules(10, 0, 20)))))
    # one digit; an operator, n arguments that are all digits, a closer; the same, one of them [..]
    expected = {1: 0.75} | {n + 2: 0.25 / 9 * 0.75**n for n in range(2, 5)}
    expected[6] += 0.25 / 9 * 2 * 0.75 * (0.25 / 9 * 0.75**2)
    for length, share in expected.items():
        spread = (trees * share * (1 - share)) ** 0.5
        assert abs(counts[length] - trees * share) < 5 * spread, length


def test_lengths_and_labels_are_distributed_as_one_by_one(many: Examples) -> None:
    source = random.Random(0)
    slow = []
    for _ in range(3000):
        tokens = tokens_of(random_tree(source, depth=10))
        if 500 < len(tokens) < 2000:
            slow.append(tokens)
    lengths = np.diff(many.offsets)
    assert stats.ks_2samp([len(tokens) for tokens in slow], lengths).pvalue > 1e-4
    labels = [value_of(" ".join(tokens)) for tokens in slow]
    table = [np.bincount(labels, minlength=10), np.bincount(many.labels, minlength=10)]
    assert stats.chi2_contingency(np.array(table)).pvalue > 1e-4


def test_unrejected_draws_are_distributed_as_one_by_one() -> None:
    source = random.Random(1)
    slow = [len(tokens_of(random_tree(source, depth=4))) for _ in range(8000)]
    fast = np.diff(draw(np.random.Philox(key=9), 8000, Rules(4, 0, 10**6)).offsets)
    edges = [1, 2, 5, 8, 11, 15, 20, 30, 50, 10**6]
    table = [np.histogram(slow, edges)[0], np.histogram(fast, edges)[0]]
    kept = [column for column in zip(*table, strict=True) if sum(column)]
    assert stats.chi2_contingency(np.array(kept).T).pvalue > 1e-4


def test_figures_of_long_range_arena(many: Examples) -> None:
    """Measured on the published generator: 3,000 accepted examples."""
    lengths = np.diff(many.offsets)
    assert len(lengths) / 30_000 == pytest.approx(0.0835, abs=0.007)
    assert lengths.min() > 500
    assert lengths.max() < 2000
    assert lengths.mean() == pytest.approx(1040, abs=30)
    assert np.median(lengths) == pytest.approx(960, abs=40)
    assert np.percentile(lengths, 95) == pytest.approx(1800, abs=40)
    labels = np.bincount(many.labels, minlength=10) / len(lengths)
    assert labels[[0, 9]] == pytest.approx([0.168, 0.168], abs=0.03)
    assert labels[1:9].min() > 0.05
    assert labels[1:9].max() < 0.115
    roots = np.bincount(many.tokens[many.offsets[:-1]], minlength=15) / len(lengths)
    assert roots == pytest.approx([0.0] * 10 + [0.25] * 4 + [0.0], abs=0.035)
    shares = np.bincount(many.tokens) / len(many.tokens)
    assert shares == pytest.approx([0.0715] * 10 + [0.0355] * 4 + [0.142], abs=0.002)


def test_operators_stand_at_most_nine_deep(many: Examples) -> None:
    step = np.select([many.tokens == 14, many.tokens >= 10], [-1, 1], 0)
    depth = np.cumsum(step)
    assert (depth[many.offsets[1:] - 1] == 0).all()
    deepest = np.maximum.reduceat(depth, many.offsets[:-1])
    assert deepest.max() == 9
    assert (deepest == 9).mean() > 0.95


def test_median_of_an_even_number_is_rounded_down() -> None:
    pairs = draw(np.random.Philox(key=4), 20_000, Rules(2, 0, 5))
    medians = [row for row in rows(pairs) if row[0] == NAMES[MED]]
    assert len(medians) > 20
    labels = [int(label) for label, row in zip(pairs.labels, rows(pairs), strict=True)
              if row[0] == NAMES[MED]]  # fmt: skip
    assert labels == [(int(row[1]) + int(row[2])) // 2 for row in medians]
    assert any((int(row[1]) + int(row[2])) % 2 for row in medians)


def test_taking_and_joining_keep_every_example_whole(many: Examples) -> None:
    picked = take(many, [7, 3, 3])
    whole = join([picked, take(many, []), take(many, [0])])
    every = rows(many)
    assert rows(whole) == [every[7], every[3], every[3], every[0]]
    assert whole.labels.tolist() == many.labels[[7, 3, 3, 0]].tolist()
