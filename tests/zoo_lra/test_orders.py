"""Orders and splits that are the same everywhere."""

from hashlib import blake2b

import numpy as np
import pytest

from zoo_lra.orders import balanced, digests, shuffled, tenths, unseen
from zoo_lra.rows import Ragged


def test_an_order_is_a_shuffle_that_the_key_decides() -> None:
    order = shuffled(1000, (1, 2))
    assert sorted(order.tolist()) == list(range(1000))
    assert not np.array_equal(order, shuffled(1000, (1, 3)))
    # the words of Philox 4x64 are the same on every machine and in every version
    assert shuffled(10, (1, 2)).tolist() == [4, 2, 0, 6, 1, 5, 9, 8, 7, 3]


@pytest.mark.parametrize("shares", [[500, 500], [900, 100], [10, 20, 970], [100] * 10])
def test_every_beginning_is_as_balanced_as_the_whole(shares: list[int]) -> None:
    labels = np.repeat(np.arange(len(shares), dtype=np.uint8), shares)
    order = balanced(labels, (0, 0))
    assert sorted(order.tolist()) == list(range(len(labels)))
    for end in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:end]], minlength=len(shares))
        assert np.abs(counts - np.array(shares) * end / len(labels)).max() <= 1
    first = order[labels[order] == 0]
    assert not np.array_equal(first, np.sort(first))


def test_twins_fall_together_and_are_found() -> None:
    texts = [b"twin", b"", b"other", b"twin", b"more"]
    ends = np.cumsum([0, *map(len, texts)])
    rows = Ragged(np.frombuffer(b"".join(texts), np.uint8), ends, np.zeros(5, np.uint8))
    names = digests(rows)
    assert names == [blake2b(text, digest_size=16).digest() for text in texts]
    assert unseen(names, set()).tolist() == [0, 1, 2, 4]
    assert unseen(names, {names[2]}).tolist() == [0, 1, 4]
    parts = tenths(names)
    assert parts[0] == parts[3]


def test_tenths_are_tenths() -> None:
    names = [blake2b(str(number).encode(), digest_size=16).digest() for number in range(10_000)]
    counts = np.bincount(tenths(names), minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - 1000).max() < 150  # five standard deviations
