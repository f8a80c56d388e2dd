"""What the zoo generates of the arena itself, and where it keeps it.

Torch-free, for `zoo data` asks all: what generates is imported when it is needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Literal

import numpy as np

import zoo
from zoo_lra.pathfinder_rules import PADDLES, Difficulty, Resolution, Rules, rules
from zoo_lra.rows import Bytes, Ragged, Rows
from zoo_lra.shards import ROWS, Plan, damages, open_rows, whole

Split = Literal["train", "valid", "test"]
"""zoo.Split, whose home imports torch."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
VERSION = 1
"""Of the Pathfinder generator: raised when the same seed gives other bytes."""
PATHFINDERS: Mapping[Split, int] = {"train": 160_000, "valid": 20_000, "test": 20_000}
LISTOPS: Mapping[Split, int] = {"train": 96_000, "valid": 2000, "test": 2000}


@dataclass(frozen=True, kw_only=True)
class Pathfinders(zoo.Source):
    """160,000 / 20,000 / 20,000 images of one resolution and difficulty."""

    resolution: Resolution
    difficulty: Difficulty
    workers: int = 2

    def here(self) -> bool:
        return all(whole(self._plan(split), PATHFINDERS[split]) for split in SPLITS)

    def fetch(self, *, force: bool = False) -> None:
        for split in SPLITS:
            plan = self._plan(split)
            if force:
                for path in plan.folder.glob(f"{split}-*.npy"):
                    path.unlink(missing_ok=True)
            with zoo.storing(plan.folder):
                plan.folder.mkdir(parents=True, exist_ok=True)
            open_rows(plan, PATHFINDERS[split], self.workers)

    def verify(self) -> list[str]:
        complaints = (damages(self._plan(split), PATHFINDERS[split]) for split in SPLITS)
        return [complaint for each in complaints for complaint in each]

    def _plan(self, split: Split) -> Plan:
        return pathfinder_plan(self.resolution, self.difficulty, split)


@dataclass(frozen=True, kw_only=True)
class ListOpsFiles(zoo.Stored):
    """96,000 / 2,000 / 2,000 expressions."""

    workers: int = 2

    def bring(self, folder: Path) -> Sequence[str]:
        from zoo_lra.splits import generate
        from zoo_lra.trees import Rules as Trees

        sizes = {str(split): count for split, count in LISTOPS.items()}
        for split, examples in generate(sizes, 0, Trees(), self.workers).items():
            for part, array in zip(Ragged._fields, examples, strict=True):
                np.save(folder / f"{split}-{part}.npy", np.asarray(array))
        return ["generated, data_seed=0"]

    def rows(self, sizes: Mapping[Split, int]) -> dict[Split, Ragged] | None:
        """The first rows of each split, mapped into memory; None unless all files are here."""
        if not self.here() or any(sizes[split] > LISTOPS[split] for split in sizes):
            return None
        found: dict[Split, Ragged] = {}
        for split, count in sizes.items():
            parts = [self.folder() / f"{split}-{part}.npy" for part in Ragged._fields]
            tokens, offsets, labels = (np.load(part, mmap_mode="r") for part in parts)
            kept = np.array(offsets[: count + 1])
            found[split] = Ragged(tokens[: int(kept[-1])], kept, np.array(labels[:count]))
        return found


def pathfinder(
    resolution: Resolution,
    difficulty: Difficulty,
    data_seed: int,
    sizes: Mapping[Split, int],
    workers: int = 1,
) -> dict[Split, Rows]:
    """The first ``sizes[split]`` images of every split, generated as far as they are not on disk.

    Rows are pixels in reading order, 0 to 255; label 1 means one contour joins the markers.
    Raises DataError, DiskFull.
    """
    return {
        split: open_rows(pathfinder_plan(resolution, difficulty, split, data_seed), count, workers)
        for split, count in sizes.items()
    }


def pathfinder_name(resolution: Resolution, difficulty: Difficulty) -> str:
    """Of the source: `pathfinder32`, `pathfinder32-easy`."""
    return f"pathfinder{resolution}" + ("" if difficulty == "hard" else f"-{difficulty}")


def pathfinder_plan(
    resolution: Resolution, difficulty: Difficulty, split: Split, data_seed: int = 0
) -> Plan:
    """Where the images of one split are kept, and how they are made."""
    name = pathfinder_name(resolution, difficulty)
    asked = rules(resolution, difficulty)
    stream = (resolution << 16) + (asked.contour << 8) + SPLITS.index(split)
    return Plan(
        name=name,
        folder=zoo.data_folder() / name / f"v{VERSION}-seed-{data_seed}",
        split=split,
        length=resolution**2,
        make=partial(_shard, asked, (data_seed, stream)),
    )


def _shard(asked: Rules, key: tuple[int, int], number: int, stop: Event) -> Bytes:
    """``ROWS`` images, the label behind the pixels."""
    from zoo_lra.pathfinder_images import images

    rows = np.zeros((ROWS, asked.size**2 + 1), np.uint8)
    for row, made in zip(rows, images(asked, key, number * ROWS, ROWS), strict=True):
        row[:-1], row[-1] = made.pixels.ravel(), made.label
        if stop.is_set():
            break
    return rows


def _pathfinders(resolution: Resolution, difficulty: Difficulty) -> Pathfinders:
    images = sum(PATHFINDERS.values())
    return Pathfinders(
        name=pathfinder_name(resolution, difficulty),
        title=f"Pathfinder, {images:,} {difficulty} images of {resolution} x {resolution}",
        licence="generated: no rights reserved",
        cite="Kim*, Linsley* et al. 2020, Disentangling neural mechanisms for perceptual "
        "grouping, ICLR; Tay et al. 2020, arXiv 2011.04006",
        origin="generated",
        size=0,
        disk=images * (resolution**2 + 1),
        groups=("lra",) if difficulty == "hard" and resolution in (32, 128) else (),
        resolution=resolution,
        difficulty=difficulty,
    )


SOURCES: Mapping[str, Pathfinders] = {
    source.name: source
    for source in (
        _pathfinders(resolution, difficulty)
        for resolution in (32, 64, 128, 256)
        for difficulty in PADDLES
    )
}
PATHFINDER32, PATHFINDER32_EASY = SOURCES["pathfinder32"], SOURCES["pathfinder32-easy"]
PATHFINDER32_INTERMEDIATE = SOURCES["pathfinder32-intermediate"]
PATHFINDER64, PATHFINDER64_EASY = SOURCES["pathfinder64"], SOURCES["pathfinder64-easy"]
PATHFINDER64_INTERMEDIATE = SOURCES["pathfinder64-intermediate"]
PATHFINDER128, PATHFINDER128_EASY = SOURCES["pathfinder128"], SOURCES["pathfinder128-easy"]
PATHFINDER128_INTERMEDIATE = SOURCES["pathfinder128-intermediate"]
PATHFINDER256, PATHFINDER256_EASY = SOURCES["pathfinder256"], SOURCES["pathfinder256-easy"]
PATHFINDER256_INTERMEDIATE = SOURCES["pathfinder256-intermediate"]
LISTOPS_FILES = ListOpsFiles(
    name="listops",
    title="ListOps, 96,000 expressions to train, 2,000 and 2,000",
    licence="generated: no rights reserved",
    cite="Nangia & Bowman 2018, arXiv 1804.06028; Tay et al. 2020, arXiv 2011.04006",
    origin="generated",
    size=0,
    disk=106_000_000,
    groups=("lra",),
)
