"""Next byte of Python: the running interpreter's own standard library, no download."""

import math
import platform
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

import zoo
from zoo_lm.corpus import Corpus, read

BYTES = 256
LENGTHS: Mapping[zoo.Budget, int] = {"smoke": 256, "cpu": 512, "gpu": 1024, "paper": 2048}
WINDOWS: Mapping[zoo.Budget, int | None] = {"smoke": 32, "cpu": 200, "gpu": None, "paper": None}
"""Held-out windows per split, evenly spread; None for all."""
RECIPES: Mapping[zoo.Budget, zoo.Recipe] = {
    "smoke": zoo.Recipe(dim=32, depth=2, steps=30, batch_size=8, lr=3e-3, evaluate_every=15),
    "cpu": zoo.Recipe(dim=64, depth=2, steps=1500, batch_size=16, lr=3e-3, evaluate_every=250),
    "gpu": zoo.Recipe(dim=256, depth=6, steps=10_000, batch_size=32, lr=1e-3, evaluate_every=500),
    "paper": zoo.Recipe(
        dim=512, depth=8, steps=50_000, batch_size=32, lr=6e-4, weight_decay=0.1,
        evaluate_every=1000,
    ),
}  # fmt: skip


class Python(zoo.Task):
    """Next-byte prediction on the standard library's sources; headline bits per byte.

    Files, not windows, are divided into the splits. A window of ``length`` bytes predicts the
    byte after each of them and knows nothing of the window before. Without a ``length`` it is the
    budget's. The text is that of the interpreter that runs: another version of Python is
    another task. ``root`` reads the `*.py` below another folder instead.

    Training windows begin anywhere, uniformly; held-out windows do not overlap.
    """

    causal = True
    headline = "bits_per_byte"
    lower_is_better = frozenset({"loss", "bits_per_byte"})

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Literal["zoo"] = "zoo",
        length: PositiveInt | None = None,
        root: str = "",
    ) -> None:
        self.budget, self.protocol, self.root = budget, protocol, root
        self.max_length = length or LENGTHS[budget]
        self.inputs = self.outputs = BYTES
        self.chance = {"bits_per_byte": 8.0, "accuracy": 1 / BYTES}

    @cached_property
    def corpus(self) -> Corpus:
        """Read when first asked for; raises DataError when there is too little of it."""
        root = Path(self.root or sysconfig.get_path("stdlib")).expanduser()
        corpus = read(root)
        for split, text in corpus.splits.items():
            if len(text) <= self.max_length:
                raise zoo.DataError(
                    f"{root}: {len(text)} bytes for {split}, a window and the byte after it need "
                    f"{self.max_length + 1}; give a larger folder as task.root= or a smaller "
                    "task.length="
                )
        return corpus

    def prepare(self) -> None:
        _ = self.corpus

    def recipe(self) -> zoo.Recipe:
        return RECIPES[self.budget]

    def head(self, dim: int) -> zoo.Head:
        return zoo.TokenHead(dim, self.outputs)

    def train_batch(self, seed: int, step: int, batch_size: int) -> zoo.Batch:
        text = self.corpus.splits["train"]
        source = np.random.Philox(key=[seed & (2**64 - 1), step])
        # raw words: their values are the same on every machine and NumPy
        draws = source.random_raw(batch_size) >> np.uint64(32)
        starts = draws * np.uint64(len(text) - self.max_length) >> np.uint64(32)
        return self._windows(text, starts.astype(np.int64))

    def batches(
        self, split: zoo.Split, batch_size: int, length: int | None = None
    ) -> Iterator[zoo.Batch]:
        if length is not None:
            raise zoo.ZooError(f"lm/python has no grid of lengths; it was asked for {length}")
        text = self.corpus.splits[split]
        whole = (len(text) - 1) // self.max_length
        count = min(whole, WINDOWS[self.budget] or whole)
        starts = np.arange(count) * whole // count * self.max_length
        for first in range(0, count, batch_size):
            yield self._windows(text, starts[first : first + batch_size])

    def score(self, logits: Tensor, batch: zoo.Batch) -> dict[str, zoo.Tally]:
        scores = zoo.classification(logits, batch.targets)
        nats = scores["loss"]
        return {**scores, "bits_per_byte": zoo.Tally(nats.total / math.log(2), nats.count)}

    def identity(self) -> Mapping[str, Any]:
        return {
            "corpus": self.corpus.sha256,
            "python": None if self.root else platform.python_version(),
            "length": self.max_length,
            "windows": WINDOWS[self.budget],
            "split": "by sha256 of the path, 18:1:1",
            "tokenizer": "bytes",
            "head": "token",
        }

    def provenance(self) -> Mapping[str, str | None]:
        version = platform.python_version()
        where = "*.py of a given folder" if self.root else f"standard library of Python {version}"
        source = f"{where}, {self.corpus.files} files"
        return {"name": "python-sources", "sha256": self.corpus.sha256, "source": source}

    def text(self, tokens: list[int]) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")

    def _windows(self, text: NDArray[np.uint8], starts: NDArray[np.int64]) -> zoo.Batch:
        """Gathered in one go; every row is full."""
        whole = text[starts[:, None] + np.arange(self.max_length + 1)].astype(np.int64)
        return zoo.Batch(
            torch.from_numpy(whole[:, :-1].copy()), torch.from_numpy(whole[:, 1:].copy())
        )
