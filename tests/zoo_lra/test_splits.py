"""Splits: the same bytes whoever generates them, the small in the large, and no twins."""

from hashlib import sha256

import numpy as np
import pytest

from zoo_lra.splits import ORDER, SHARD, generate
from zoo_lra.trees import Examples, Rules, draw

SMALL = Rules(depth=3, longer_than=3, shorter_than=6)
"""Operators of two and three digits: 4,400 trees, so that twins are many."""


def strings(examples: Examples) -> list[bytes]:
    bounds = examples.offsets.tolist()
    text = examples.tokens.tobytes()
    return [text[bounds[i] : bounds[i + 1]] for i in range(len(examples.labels))]


def fingerprint(examples: Examples) -> str:
    whole = sha256(examples.tokens.tobytes())
    whole.update(examples.offsets.astype("<i8").tobytes())
    whole.update(examples.labels.tobytes())
    return whole.hexdigest()


@pytest.mark.parametrize("workers", [2, 3])
def test_number_of_workers_changes_no_byte(workers: int) -> None:
    sizes = {"test": 30, "valid": 20, "train": 1500}
    alone, together = (generate(sizes, 7, Rules(), n) for n in (1, workers))
    for split, size in sizes.items():
        assert len(alone[split].labels) == size
        assert fingerprint(alone[split]) == fingerprint(together[split])


def test_same_bytes_everywhere() -> None:
    splits = generate({"test": 100, "valid": 100, "train": 100}, 0, Rules(), 1)
    assert {split: fingerprint(splits[split])[:16] for split in ORDER} == {
        "test": "2c08995ade5a6823",
        "valid": "415e8a7b3f0e3ec6",
        "train": "5964402b74f942ee",
    }


def test_small_splits_are_the_beginning_of_large_ones() -> None:
    small = generate({"test": 30, "valid": 10, "train": 20}, 0, Rules(), 1)
    large = generate({"test": 50, "valid": 40, "train": 900}, 0, Rules(), 1)
    for split in ORDER:
        count = len(small[split].labels)
        assert strings(small[split]) == strings(large[split])[:count]
        assert small[split].labels.tolist() == large[split].labels[:count].tolist()


def test_data_seed_makes_other_examples() -> None:
    sizes = {"test": 5, "valid": 1, "train": 1}
    one, other = (set(strings(generate(sizes, seed, Rules(), 1)["test"])) for seed in (0, 1))
    assert not one & other


def test_twins_are_dropped_from_the_later_split_and_order_is_kept() -> None:
    sizes = {"test": 900, "valid": 700, "train": 1100}
    splits = generate(sizes, 3, SMALL, 2)
    seen: dict[bytes, int] = {}
    repeated = 0
    for which, split in enumerate(ORDER):
        expected: list[tuple[bytes, int]] = []
        number = 0
        while len(expected) < sizes[split]:
            source = np.random.Philox(key=[3, which], counter=[0, 0, 0, number])
            shard = draw(source, SHARD, SMALL)
            for text, label in zip(strings(shard), shard.labels.tolist(), strict=True):
                repeated += text in seen
                if text not in seen and len(expected) < sizes[split]:
                    seen[text] = label
                    expected.append((text, label))
            number += 1
        found = zip(strings(splits[split]), splits[split].labels.tolist(), strict=True)
        assert list(found) == expected
    assert repeated > 100
    assert len({text for split in ORDER for text in strings(splits[split])}) == sum(sizes.values())
