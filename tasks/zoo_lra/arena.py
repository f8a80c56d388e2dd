"""What the six tasks share: a protocol's setting, batches of padded rows, heads, identity."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

import zoo
from zoo_lra.heads import ArenaHead
from zoo_lra.protocols import FIVE, MOST, Protocol, setting, sizes
from zoo_lra.rows import Ints, Rows, Tokens
from zoo_lra.setting import Key

ROUND = 8
"""Rows of different lengths are padded to a multiple of this: few shapes, aligned rows."""


class Arena(zoo.Task):
    """A task of the Long Range Arena (Tay et al. 2020, arXiv 2011.04006) under one protocol.

    A subclass says how examples come (``load``), what they are (``data_identity``) and its
    ``key`` in the tables of the protocols; it calls this constructor with the number of token
    ids, to which padding and, where the protocol has it, CLS are added: ids ``vocabulary`` and
    ``vocabulary + 1``. ``length`` cuts inputs elsewhere than the protocol does. ``setting`` says
    what else the protocol asks of the data: ``tokens``, ``splits``, ``length``.
    """

    averages: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Avg5": FIVE,
        "Avg6": (*FIVE, "lra/pathx"),
    }

    def __init__(
        self,
        key: Key,
        budget: zoo.Budget,
        protocol: Protocol,
        *,
        vocabulary: int,
        outputs: int,
        length: int | None = None,
    ) -> None:
        self.key, self.budget, self.protocol = key, budget, protocol
        self.setting = setting(key, protocol, budget, length)
        self.vocabulary, self.outputs = vocabulary, outputs
        self.real = self.setting.scale is not None
        self.inputs = 1 if self.real else vocabulary + 1 + self.setting.cls
        self.towers = 1 if self.setting.pair == "none" else 2
        self.max_length = self.setting.length + self.setting.cls
        self.needs_future = self.setting.pooling == "first"

    @abstractmethod
    def load(self) -> Mapping[zoo.Split, Rows]:
        """Every split, cut to ``self.setting.length``; raises DataError where data is missing."""

    @abstractmethod
    def data_identity(self) -> Mapping[str, Any]:
        """What decides which examples there are: generator or data set, counts, order."""

    @cached_property
    def splits(self) -> Mapping[zoo.Split, Rows]:
        """Loaded when first asked for."""
        return self.load()

    def prepare(self) -> None:
        _ = self.splits

    @cached_property
    def chance(self) -> Mapping[str, float]:  # type: ignore[override]
        """The commonest answer of the test split, which whoever has learnt nothing may give."""
        labels = self.splits["test"].labels
        return {"accuracy": float(np.bincount(labels).max() / len(labels))}

    def recipe(self) -> zoo.Recipe:
        recipe = self.setting.recipe
        if not self.setting.tenth:
            return recipe
        return replace(recipe, match=f"atmost:params:{int(1.1 * self.transformer())}")

    def transformer(self) -> int:
        """Parameters of the protocol's Transformer: what its limits on size are measured by."""
        asked, dim = self.setting, self.setting.recipe.dim
        hidden: int = round(asked.block["channel.expand"] * dim)
        with torch.device("meta"):
            head = sum(p.numel() for p in self.head(dim).parameters())
        embedding = dim * (self.inputs + self.real)
        table = dim * self.max_length if asked.position == "learned" else 0
        layer = 4 * dim * dim + 2 * dim * hidden + hidden + dim + 4 * dim
        return embedding + table + asked.recipe.depth * layer + dim + head

    def backbone(self, mixer: type[zoo.Mixer]) -> Mapping[str, Any]:
        return self.setting.around(mixer)

    def head(self, dim: int) -> zoo.Head:
        asked = self.setting
        return ArenaHead(
            dim, self.outputs, pooling=asked.pooling, hidden=asked.hidden, pair=asked.pair
        )

    def train_batch(self, seed: int, step: int, batch_size: int) -> zoo.Batch:
        train = self.splits["train"]
        count = len(train.labels)
        if self.setting.shuffle == "batches" and count >= batch_size:
            return self.batch(train, neighbours(count, seed, step, batch_size))
        return self.batch(train, zoo.epoch_rows(count, seed, step, batch_size).numpy())

    def batches(
        self, split: zoo.Split, batch_size: int, length: int | None = None
    ) -> Iterator[zoo.Batch]:
        if length is not None:
            raise zoo.ZooError(f"lra/{self.key} has no grid of lengths; it was asked for {length}")
        rows = self.splits[split]
        count = len(rows.labels)
        for start in range(0, count, batch_size):
            yield self.batch(rows, np.arange(start, min(start + batch_size, count)))

    def batch(self, rows: Rows, examples: Ints) -> zoo.Batch:
        """The ``examples`` of ``rows``; of two towers, each takes two rows one after the other."""
        which = examples
        if self.towers == 2:
            which = np.stack([2 * examples, 2 * examples + 1], axis=1).ravel()
        targets = torch.from_numpy(rows.labels[examples].astype(np.int64))
        inputs, lengths = self.padded(rows.take(which), rows.width)
        return zoo.Batch(self.encoded(inputs), targets, lengths)

    def padded(self, taken: list[Tokens], width: int | None) -> tuple[Ints, torch.Tensor | None]:
        """Right-padded to the longest, CLS before; no lengths where every row is full."""
        before = int(self.setting.cls)
        lengths = np.array([before + len(row) for row in taken], np.int64)
        rounded = -(-int(lengths.max()) // ROUND) * ROUND
        wide = min(rounded, self.max_length) if width is None else before + width
        inputs = np.full((len(taken), wide), self.vocabulary, np.int64)
        inputs[:, :before] = self.vocabulary + 1
        for row, (tokens, end) in enumerate(zip(taken, lengths.tolist(), strict=True)):
            inputs[row, before:end] = tokens
        return inputs, None if width is not None else torch.from_numpy(lengths)

    def encoded(self, inputs: Ints) -> torch.Tensor:
        """Token ids as they are, or pixels (b, l, 1) as the protocol scales them."""
        tokens = torch.from_numpy(inputs)
        if self.setting.scale is None:
            return tokens
        mean, deviation = self.setting.scale
        return ((tokens.float() / 255 - mean) / deviation)[..., None]

    def identity(self) -> Mapping[str, Any]:
        most = MOST.get(self.budget)
        return {**self.setting.identity(), "most": most, **self.data_identity()}

    def sizes(self, counts: Mapping[zoo.Split, int]) -> dict[zoo.Split, int]:
        """How many of the ``counts`` examples of each split this budget takes: the first ones."""
        return sizes(counts, self.budget, self.setting.length)


def neighbours(count: int, seed: int, step: int, batch_size: int) -> Ints:
    """(batch_size,) rows that follow one another: batches are shuffled, not examples.

    The rows go round without end, cut into batches, so that an epoch's first batch begins where
    the last one ended; as many batches as an epoch holds are then drawn in a new order.
    """
    held = count // batch_size
    drawn = int(zoo.epoch_rows(held, seed, step, 1))
    first = (step // held * held + drawn) * batch_size
    return (first + np.arange(batch_size)) % count
