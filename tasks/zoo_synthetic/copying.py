"""Copying: repeat a string after its end, also strings far longer than those trained on."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

import zoo

TRAIN, HELD_OUT = 0, 1
"""Streams of random words that never meet."""
SHORTEST = 8
"""First length of the grid."""
STRINGS: Mapping[zoo.Budget, tuple[int, int]] = {
    "smoke": (128, 16),
    "cpu": (512, 64),
    "gpu": (2000, 500),
    "paper": (2000, 1000),
}
"""Held-out strings per split, and per length of the grid."""
RECIPES: Mapping[zoo.Budget, zoo.Recipe] = {
    "smoke": zoo.Recipe(dim=32, depth=2, steps=30, batch_size=16, lr=2e-3, evaluate_every=15),
    "cpu": zoo.Recipe(dim=64, depth=2, steps=3000, batch_size=64, lr=2e-3, evaluate_every=250),
    "gpu": zoo.Recipe(dim=128, depth=4, steps=20_000, batch_size=128, lr=1e-3, evaluate_every=1000),
    "paper": zoo.Recipe(
        dim=256, depth=6, steps=100_000, batch_size=128, lr=5e-4, evaluate_every=2000
    ),
}


class Copy(zoo.Task):
    """``s_1 .. s_n SEP s_1 .. s_n``, next-token prediction, scored on the repeat alone.

    After Jelassi, Brandfonbrener, Kakade & Malach 2024, "Repeat After Me" (arXiv 2402.01032):
    a recurrence must hold the string in its state, attention can look it up. Strings are uniform
    over ``symbols`` and their length uniform over 1..``train_length``; the grid then asks for
    lengths up to ``test_length``. Sizes and training are the zoo's own.

    ``accuracy`` is over symbols of the repeat, ``exact`` over strings that are right throughout.
    """

    causal = True

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Literal["zoo"] = "zoo",
        symbols: PositiveInt = 16,
        train_length: PositiveInt = 32,
        test_length: PositiveInt = 512,
    ) -> None:
        self.budget, self.protocol = budget, protocol
        self.symbols, self.train_length, self.test_length = symbols, train_length, test_length
        self.inputs, self.outputs = symbols + 1, symbols  # the separator is never asked for
        self.max_length, self.trained_to = 2 * max(train_length, test_length), train_length
        doubling = [SHORTEST << i for i in range(test_length.bit_length())]
        self.grid = (*(n for n in doubling if n < test_length), test_length)
        self.chance = {"accuracy": 1 / symbols}

    @property
    def length(self) -> int:
        return 2 * self.train_length

    def recipe(self) -> zoo.Recipe:
        return RECIPES[self.budget]

    def head(self, dim: int) -> zoo.Head:
        return zoo.TokenHead(dim, self.outputs)

    def train_batch(self, seed: int, step: int, batch_size: int) -> zoo.Batch:
        return self._batch(*self._strings((TRAIN, 0), (seed, step), batch_size))

    def batches(
        self, split: zoo.Split, batch_size: int, length: int | None = None
    ) -> Iterator[zoo.Batch]:
        """Strings of the training lengths, or all of one ``length``, that of the string alone."""
        count = STRINGS[self.budget][0 if length is None else 1]
        which = ("train", "valid", "test").index(split)
        strings, lengths = self._strings((HELD_OUT, which), (length or 0, 0), count, length)
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            yield self._batch(strings[rows], lengths[rows])

    def score(self, logits: Tensor, batch: zoo.Batch) -> dict[str, zoo.Tally]:
        wrong = (logits.argmax(-1) != batch.targets) & (batch.targets != zoo.IGNORED)
        exact = zoo.Tally.over(~wrong.any(dim=-1))
        return {**zoo.classification(logits, batch.targets), "exact": exact}

    def identity(self) -> Mapping[str, Any]:
        return {
            "generator": "uniform strings, Philox 4x64",
            "symbols": self.symbols,
            "train_length": self.train_length,
            "grid": self.grid,
            "strings": STRINGS[self.budget],
            "head": "token",
        }

    def text(self, tokens: list[int]) -> str:
        return " ".join("|" if token == self.symbols else str(token) for token in tokens)

    def _strings(
        self, stream: tuple[int, int], key: tuple[int, int], count: int, length: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(count, longest) symbols and (count,) lengths; past its length a row is of no meaning.

        Raw words of a counter-based generator: the same on every machine and NumPy.
        """
        longest = length or self.train_length
        source = np.random.Philox(counter=[0, 0, *stream], key=[word & (2**64 - 1) for word in key])
        draws = source.random_raw((count, longest + 1)) >> np.uint64(32)
        strings = (draws[:, 1:] * np.uint64(self.symbols) >> np.uint64(32)).astype(np.int64)
        if length is not None:
            return strings, np.full(count, length)
        return strings, (draws[:, 0] * np.uint64(longest) >> np.uint64(32)).astype(np.int64) + 1

    def _batch(self, strings: NDArray[np.int64], lengths: NDArray[np.int64]) -> zoo.Batch:
        """String, separator and repeat; its last symbol is asked for and never shown."""
        n = lengths[:, None]
        place = np.arange(2 * lengths.max() + 1)  # of the whole, the last symbol included
        repeat = place > n
        source = np.where(repeat, place - n - 1, place).clip(max=strings.shape[1] - 1)
        whole = np.take_along_axis(strings, source, axis=1)
        whole[place == n] = self.symbols
        whole[place > 2 * n] = 0  # padding
        scored = repeat & (place <= 2 * n)
        targets = np.where(scored, whole, zoo.IGNORED)[:, 1:]
        return zoo.Batch(
            torch.from_numpy(whole[:, :-1].copy()),
            torch.from_numpy(targets.copy()),
            None if (lengths == lengths[0]).all() else torch.from_numpy(2 * lengths),
        )
