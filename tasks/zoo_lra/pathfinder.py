"""Long Range Arena's Pathfinder and Path-X: whether two dots are joined, read pixel by pixel."""

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

import zoo
from zoo_lra import pathfinder_release
from zoo_lra.arena import Arena
from zoo_lra.generated import PATHFINDERS, VERSION, pathfinder, pathfinder_name
from zoo_lra.packed import Corpus
from zoo_lra.pathfinder_release import Some
from zoo_lra.pathfinder_rules import Difficulty, Resolution, rules
from zoo_lra.protocols import Protocol
from zoo_lra.rows import Rows
from zoo_lra.setting import DataSeed, Key

RELEASED: Mapping[tuple[int, str], int] = {(32, "easy"): 199_999}
"""Images of the release that are not 200,000: one file is empty."""
KEYS: Mapping[Resolution, Key] = {
    32: "pathfinder",
    64: "pathfinder64",
    128: "pathx",
    256: "pathfinder256",
}
ROWS = 1000
"""Hashed at a time."""
RAMP = " .:-=+*#%@"
"""From black to white, as `zoo sample` shows it."""


class Pathfinder(Arena):
    """Two classes: are two markers on one dashed contour, or on two, among distractors?

    Kim*, Linsley* et al. 2020 (ICLR) as set by Tay et al. 2020 (arXiv 2011.04006): 160,000 /
    20,000 / 20,000 images, half of them joined, as bytes line by line. The name means 32 x 32 and
    `hard` (contours of 14 paddles); another ``resolution`` or ``difficulty`` is another task:
    `lra/pathfinder:64-easy`.

    ``data``: `generated`, by rules that give the published program's images but for its draws, or
    `release`, the published files, cut into splits as the protocol does. Generated splits are
    sequences of their own. A smaller budget takes the first images of each split.

    ``data_seed`` makes other images, which is another task. ``workers`` threads generate them,
    once: they are kept on disk; the bytes do not depend on their number. ``root`` is a folder of
    the user's own copy of the release.
    """

    shelf_name = "lra/pathfinder"

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Protocol = "zoo",
        resolution: Resolution = 32,
        difficulty: Difficulty = "hard",
        data: Literal["generated", "release"] = "generated",
        root: str = "",
        data_seed: DataSeed = 0,
        workers: PositiveInt = 2,
    ) -> None:
        super().__init__(KEYS[resolution], budget, protocol, vocabulary=256, outputs=2)
        self.resolution, self.difficulty = resolution, difficulty
        self.data, self.root = data, root
        self.data_seed, self.workers = data_seed, workers
        self.copies = pathfinder_release.copies(resolution, difficulty)
        names = {str(resolution): "32", str(difficulty): "hard"}
        self.variant = "-".join(mine for mine, usual in names.items() if mine != usual)

    def load(self) -> Mapping[zoo.Split, Rows]:
        what = self.resolution, self.difficulty
        if self.data == "generated":
            sizes = self.sizes(PATHFINDERS)
            return pathfinder(*what, self.data_seed, sizes, workers=self.workers)
        rule: Literal["sequential", "random"] = (
            "random" if self.setting.splits == "random" else "sequential"
        )
        whole = pathfinder_release.splits(self.corpus, self.resolution, rule)
        sizes = self.sizes({split: len(rows.labels) for split, rows in whole.items()})
        return {split: Some(rows, np.arange(sizes[split])) for split, rows in whole.items()}

    @cached_property
    def corpus(self) -> Corpus:
        """The released images; raises DataError where they are not here."""
        place = self.copies.require(self.root, self.shelf_name)
        return pathfinder_release.read(place, self.resolution, self.difficulty)

    def missing(self) -> str | None:
        if self.data == "generated":
            return None
        return self.copies.missing(self.root, self.shelf_name)

    def data_identity(self) -> Mapping[str, Any]:
        if self.data == "release":
            official = RELEASED.get((self.resolution, self.difficulty), sum(PATHFINDERS.values()))
            count = official if self.missing() else sum(self.corpus.counts.values())
            return {"data": "release", "images": [self.resolution, self.difficulty, count]}
        return {
            "data": "generated",
            "generator": f"pathfinder {VERSION}, Philox 4x64",
            "rules": rules(self.resolution, self.difficulty)._asdict(),
            "data_seed": self.data_seed,
            "sizes": self.sizes(PATHFINDERS),
        }

    def provenance(self) -> Mapping[str, str | None]:
        name = pathfinder_name(self.resolution, self.difficulty)
        if self.data == "release":
            source = "the user's copy" if self.root else self.copies.source.origin
            return {"name": f"{name}-release", "sha256": self.corpus.sha256, "source": source}
        whole = sha256()
        for _, rows in sorted(self.splits.items()):
            whole.update(rows.labels.data)
            for first in range(0, len(rows.labels), ROWS):
                taken = rows.take(np.arange(first, min(first + ROWS, len(rows.labels))))
                whole.update(np.stack(taken).data)
        source = f"generated, data_seed={self.data_seed}"
        return {"name": name, "sha256": whole.hexdigest(), "source": source}

    def text(self, tokens: list[int]) -> str:
        pixels = [RAMP[token * len(RAMP) // 256] for token in tokens if token < self.vocabulary]
        side = self.resolution
        lines = [pixels[start : start + side] for start in range(0, len(pixels), side)]
        return "\n".join("".join(line) for line in lines)


class PathX(Pathfinder):
    """Path-X: Pathfinder's hard images of 128 x 128, 16,384 pixels one after the other."""

    shelf_name = "lra/pathx"

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Protocol = "zoo",
        data: Literal["generated", "release"] = "generated",
        root: str = "",
        data_seed: DataSeed = 0,
        workers: PositiveInt = 2,
    ) -> None:
        super().__init__(
            budget=budget,
            protocol=protocol,
            resolution=128,
            data=data,
            root=root,
            data_seed=data_seed,
            workers=workers,
        )
        self.variant = ""
