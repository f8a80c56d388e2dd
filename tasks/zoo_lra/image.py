"""Long Range Arena's Image: what a grey picture shows, read pixel by pixel."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

import zoo
from zoo_lra import cifar, fashion
from zoo_lra.arena import Arena
from zoo_lra.orders import balanced
from zoo_lra.pictures import SIDE, Pictures, checksum, grey_pillow, grey_tensorflow
from zoo_lra.protocols import Protocol
from zoo_lra.rows import Bytes, Grid, Ints, Rows

RAMP = " .:-=+*#%@"
"""From black to white, as `zoo sample` shows it."""
SEED = 42
"""With which S4's loaders split the training pictures."""


class Image(Arena):
    """Ten classes of 32 x 32 pictures as 1,024 pixels, line by line.

    ``data=cifar10`` is CIFAR-10 (Krizhevsky 2009) made grey: as TensorFlow does for Tay et al.
    (arXiv 2011.04006), as Pillow does where the protocol's pixels are floats (S4). 45,000 train,
    the last 5,000 in the files' order validate; under `s4` the 5,000 that torch's `random_split`
    takes with seed 42. TensorFlow's data sets have an order of their own, so the 5,000 of Tay et
    al. are not these.

    ``data=fashion-mnist`` is a stand-in where only packages can be had: pictures of clothes
    (Xiao et al. 2017, arXiv 1708.07747), 28 x 28 in a black frame of 32 x 32. It is much easier.
    A tenth of the 60,000 validates, by the same rules.

    Smaller budgets take the first pictures of a fixed order that is balanced all along. ``root``
    is a folder of the user's own copy.
    """

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Protocol = "zoo",
        data: Literal["cifar10", "fashion-mnist"] = "cifar10",
        root: str = "",
    ) -> None:
        self.data, self.root = data, root
        self.variant = "" if data == "cifar10" else data
        super().__init__("image", budget, protocol, vocabulary=256, outputs=10)
        self.copies = cifar.COPIES if data == "cifar10" else fashion.COPIES

    @cached_property
    def pictures(self) -> Mapping[str, Pictures]:
        """Train and test as released; raises DataError where they are not here."""
        place = self.copies.require(self.root, "lra/image")
        if self.data == "cifar10":
            return cifar.read(place, grey_pillow if self.real else grey_tensorflow)
        return fashion.read(place)

    def load(self) -> Mapping[zoo.Split, Rows]:
        train, test = self.pictures["train"], self.pictures["test"]
        kept, held = divided(len(train.labels), random=self.setting.splits == "random")
        parts: Mapping[zoo.Split, tuple[Pictures, Ints]] = {
            "train": (train, kept),
            "valid": (train, held),
            "test": (test, np.arange(len(test.labels))),
        }
        sizes = self.sizes({split: len(rows) for split, (_, rows) in parts.items()})
        return {
            split: _grid(pictures, rows, sizes[split]) for split, (pictures, rows) in parts.items()
        }

    def missing(self) -> str | None:
        return self.copies.missing(self.root, "lra/image")

    def data_identity(self) -> Mapping[str, Any]:
        counts: Mapping[str, int] = (cifar if self.data == "cifar10" else fashion).COUNTS
        if not self.missing():
            counts = {split: len(part.labels) for split, part in self.pictures.items()}
        grey = "fashion" if self.data != "cifar10" else "pillow" if self.real else "tensorflow"
        return {"data": self.data, "pictures": counts, "grey": grey, "order": "balanced"}

    def provenance(self) -> Mapping[str, str | None]:
        whole = checksum(self.pictures["train"], self.pictures["test"])
        source = "the user's copy" if self.root else self.copies.source.origin
        return {"name": self.data, "sha256": whole, "source": source}

    def text(self, tokens: list[int]) -> str:
        pixels = [RAMP[token * len(RAMP) // 256] for token in tokens if token < self.vocabulary]
        lines = [pixels[start : start + SIDE] for start in range(0, len(pixels), SIDE)]
        return "\n".join("".join(line) for line in lines)


def divided(count: int, *, random: bool) -> tuple[Ints, Ints]:
    """Nine tenths to train and one to validate: the last ones, or as S4 draws them."""
    order = np.arange(count)
    if random:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED)).numpy()
    train = int(count * 0.9)
    return order[:train], order[train:]


def _grid(pictures: Pictures, rows: Ints, size: int) -> Grid:
    """The first ``size`` of ``rows`` in the balanced order."""
    labels: Bytes = pictures.labels[rows]
    chosen = rows[balanced(labels, (30, 0))[:size]]
    return Grid([pictures.pixels[chosen]], pictures.labels[chosen])
