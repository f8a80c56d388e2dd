"""What the six tasks share, on rows made up here."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from zoo_lra.arena import Arena, neighbours
from zoo_lra.protocols import Protocol
from zoo_lra.rows import Grid, Ragged, Rows
from zoo_lra.setting import Key

WORDS = [[5, 6, 7], [1], [2, 3], [9, 9, 9, 9, 9], [4], [8, 7]]


def ragged(words: list[list[int]], labels: list[int]) -> Ragged:
    return Ragged(
        np.array(list(chain(*words)), np.uint8),
        np.cumsum([0, *map(len, words)], dtype=np.int64),
        np.array(labels, np.uint8),
    )


class Made(Arena):
    """Ten ids, rows as given."""

    def __init__(self, key: Key, protocol: Protocol, rows: Rows) -> None:
        super().__init__(key, "paper", protocol, vocabulary=10, outputs=2)
        self.rows = rows

    def load(self) -> Mapping[zoo.Split, Rows]:
        return {"train": self.rows, "valid": self.rows, "test": self.rows}

    def data_identity(self) -> Mapping[str, Any]:
        return {"data": "made up"}


def test_ragged_rows_are_views() -> None:
    rows = ragged(WORDS, [0] * 6)
    taken = rows.take(np.array([3, 0]))
    assert [part.tolist() for part in taken] == [WORDS[3], WORDS[0]]
    assert all(np.shares_memory(part, rows.tokens) for part in taken)


def test_grid_finds_rows_across_its_parts() -> None:
    whole = np.arange(70, dtype=np.uint8).reshape(10, 7)
    grid = Grid([whole[:1], whole[1:1], whole[1:6], whole[6:]], np.zeros(10, np.uint8))
    assert grid.width == 7
    order = np.array([9, 0, 1, 5, 6, 5])
    taken = grid.take(order)
    assert np.array_equal(np.stack(taken), whole[order])
    assert all(np.shares_memory(part, whole) for part in taken)


def test_ragged_batch_is_padded_to_a_multiple_of_eight() -> None:
    task = Made("listops", "zoo", ragged(WORDS, [0, 1, 0, 1, 0, 1]))
    batch = task.batch(task.rows, np.array([3, 1]))
    assert batch.inputs.tolist() == [[9] * 5 + [10] * 3, [1] + [10] * 7]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [5, 1]
    assert batch.targets.tolist() == [1, 1]
    assert task.inputs == 11


def test_cls_stands_before_every_row_and_counts() -> None:
    task = Made("listops", "tay-repo", ragged(WORDS, [0, 1, 0, 1, 0, 1]))
    batch = task.batch(task.rows, np.array([0, 4]))
    assert batch.inputs.tolist() == [[11, 5, 6, 7] + [10] * 4, [11, 4] + [10] * 6]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [4, 2]
    assert task.inputs == 12
    assert task.needs_future
    assert task.max_length == 2001


def test_padding_never_goes_beyond_the_longest_input() -> None:
    """1,000 tokens and a CLS: a table of positions has 1,001 rows, not 1,008."""
    words = [[1] * 1000, [2] * 994]
    batch = Made("text", "tay-repo", ragged(words, [0, 1])).batch(
        ragged(words, [0, 1]), np.array([0, 1])
    )
    assert batch.inputs.shape == (2, 1001)


def test_pictures_are_full_and_need_no_lengths() -> None:
    whole = np.arange(12, dtype=np.uint8).reshape(2, 6) % 10
    rows = Grid([whole], np.array([0, 1], np.uint8))
    batch = Made("image", "zoo", rows).batch(rows, np.array([1]))
    assert batch.lengths is None
    assert batch.inputs.tolist() == [whole[1].tolist()]
    with_cls = Made("image", "tay-repo", rows).batch(rows, np.array([1]))
    assert with_cls.lengths is None
    assert with_cls.inputs.tolist() == [[11, *whole[1].tolist()]]


@pytest.mark.parametrize(
    ("key", "of_black", "of_white"),
    [("image", -122.6 / 61, (255 - 122.6) / 61), ("pathfinder", 0.0, 1.0)],
)
def test_pixels_are_real_numbers_under_s4(key: Key, of_black: float, of_white: float) -> None:
    rows = Grid([np.array([[0, 255, 51]], np.uint8)], np.array([1], np.uint8))
    task = Made(key, "s4", rows)
    inputs = task.batch(rows, np.array([0])).inputs
    assert task.real
    assert task.inputs == 1
    assert inputs.dtype == torch.float32
    expected = [of_black, of_white, of_black + (of_white - of_black) / 5]
    torch.testing.assert_close(inputs, torch.tensor(expected)[None, :, None])


def test_two_towers_take_the_rows_of_each_pair() -> None:
    task = Made("retrieval", "zoo", ragged(WORDS, [0, 1, 1]))
    batch = task.batch(task.rows, np.array([2, 0]))
    assert task.towers == 2
    assert batch.targets.tolist() == [1, 0]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [1, 2, 3, 1]
    assert batch.inputs[:, 0].tolist() == [4, 8, 5, 1]
    (whole,) = task.batches("test", 3)
    assert whole.targets.tolist() == [0, 1, 1]
    assert len(whole.inputs) == 6
    assert task.head(8)(torch.randn(6, 8, 8), whole.lengths).shape == (3, 2)


def test_every_epoch_shows_each_example_once_and_splits_keep_their_order() -> None:
    task = Made("listops", "zoo", ragged(WORDS, list(range(6))))
    shown = [t for step in range(6) for t in task.train_batch(3, step, 2).targets.tolist()]
    assert sorted(shown[:6]) == sorted(shown[6:]) == list(range(6))
    assert shown[:6] != shown[6:]
    in_order = [t for batch in task.batches("test", 4) for t in batch.targets.tolist()]
    assert in_order == list(range(6))


def test_batches_of_neighbours_are_shuffled_where_the_protocol_has_it() -> None:
    rows = Grid([np.zeros((20, 4), np.uint8)], np.arange(20, dtype=np.uint8))
    drawn = [
        Made("image", "tay-repo", rows).train_batch(1, s, 4).targets.tolist() for s in range(5)
    ]
    assert all(np.diff(batch).tolist() == [1, 1, 1] for batch in drawn)
    assert sorted(chain(*drawn)) == list(range(20))
    assert drawn != sorted(drawn)
    examples = [Made("image", "zoo", rows).train_batch(1, s, 4).targets.tolist() for s in range(5)]
    assert sorted(chain(*examples)) == list(range(20))
    assert any(np.diff(batch).tolist() != [1, 1, 1] for batch in examples)


def test_batches_of_neighbours_go_round_where_they_do_not_fit() -> None:
    """Ten rows in batches of four: two an epoch, the next epoch begins at row eight."""
    drawn = [neighbours(10, 0, step, 4).tolist() for step in range(10)]
    epochs = [sorted(batch[0] for batch in drawn[e : e + 2]) for e in range(0, 10, 2)]
    assert epochs == [[0, 4], [2, 8], [0, 6], [4, 8], [2, 6]]
    assert Counter(list(chain(*drawn))) == dict.fromkeys(range(10), 4)


def test_a_set_smaller_than_a_batch_is_drawn_example_by_example() -> None:
    rows = Grid([np.zeros((3, 4), np.uint8)], np.arange(3, dtype=np.uint8))
    drawn = Made("image", "tay-repo", rows).train_batch(1, 0, 6).targets.tolist()
    assert sorted(drawn) == [0, 0, 1, 1, 2, 2]


def test_grid_of_lengths_is_refused_by_name() -> None:
    task = Made("image", "zoo", ragged(WORDS, [0] * 6))
    with pytest.raises(zoo.ZooError, match=r"lra/image has no grid of lengths; .* asked for 8"):
        next(task.batches("test", 4, length=8))
