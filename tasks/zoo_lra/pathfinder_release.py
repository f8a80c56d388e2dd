"""Pathfinder as released: pictures in thousands of folders, told of by text files named .npy."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import torch

import zoo
from zoo_lra.copies import Copies
from zoo_lra.packed import Corpus, Example, packed
from zoo_lra.pathfinder_rules import Difficulty, Resolution
from zoo_lra.release import LRA_RELEASE, TOPS, find_archive, members
from zoo_lra.rows import Bytes, Grid, Ints, Rows, Tokens

FOLDERS: dict[Difficulty, str] = {
    "easy": "curv_baseline",
    "intermediate": "curv_contour_length_9",
    "hard": "curv_contour_length_14",
}
ALL = "all"
"""The release has no splits."""
SEED = 42
"""With which S4's loader splits."""
THREADS = 4


class Picture(NamedTuple):
    """A line of the metadata."""

    path: str
    """`imgs/0/sample_3.png`"""
    label: int


def copies(resolution: Resolution, difficulty: Difficulty) -> Copies:
    """Where the released images may lie: `pathfinder32/curv_contour_length_14` or above."""
    folder = f"pathfinder{resolution}/{FOLDERS[difficulty]}"
    return Copies(
        LRA_RELEASE,
        f"the folder that holds {folder}",
        partial(find, resolution=resolution, difficulty=difficulty),
    )


def find(root: Path, resolution: Resolution, difficulty: Difficulty) -> Path | None:
    """The folder that holds `imgs` and `metadata`, or the archive."""
    last = FOLDERS[difficulty]
    tails = [f"{top}pathfinder{resolution}/{last}" for top in TOPS] + [last]
    if root.name == last:
        tails.insert(0, "")
    places = (root / tail for tail in tails if (root / tail / "metadata").is_dir())
    return next(places, None) or find_archive(root)


def read(place: Path, resolution: Resolution, difficulty: Difficulty) -> Corpus:
    """All images in the order of their metadata, as one split ``ALL``: read once, then kept.

    A picture that cannot be read is left out, and a line says how many were: one of the easy ones
    at 32 pixels is empty in the release. Raises DataError for metadata that is none.
    """
    name = f"pathfinder{resolution}-{difficulty}"
    if place.is_file():
        job = partial(_archived, place, resolution, difficulty)
        return packed(place.parent, name, [place], job)
    tables = _tables(place / "metadata")
    return packed(place, name, tables, partial(_filed, place, tables, resolution))


def splits(
    corpus: Corpus, resolution: Resolution, rule: Literal["sequential", "random"]
) -> dict[zoo.Split, Rows]:
    """80 % train, 10 % valid, 10 % test: in the files' order (Tay et al.), or as S4 draws them."""
    tokens, _, labels = corpus.splits[ALL]
    grid = Grid([tokens.reshape(-1, resolution**2)], np.asarray(labels))
    count = len(labels)
    tenth = count // 10
    order = np.arange(count)
    if rule == "random":
        order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED)).numpy()
    train, valid, test = np.split(order, [count - 2 * tenth, count - tenth])
    return {"train": Some(grid, train), "valid": Some(grid, valid), "test": Some(grid, test)}


class Some:
    """Some rows of others."""

    def __init__(self, whole: Rows, which: Ints) -> None:
        self.whole, self.which = whole, which
        self.labels, self.width = whole.labels[which], whole.width

    def take(self, rows: Ints) -> list[Tokens]:
        """Views."""
        return self.whole.take(self.which[rows])


def _tables(folder: Path) -> list[Path]:
    """The metadata files by number."""
    tables = [path for path in folder.glob("*.npy") if path.stem.isdecimal()]
    if not tables:
        raise zoo.DataError(f"{folder} holds no metadata: 0.npy, 1.npy and so on")
    return sorted(tables, key=lambda path: int(path.stem))


def _listed(content: bytes, where: str) -> list[Picture]:
    """`imgs/0 sample_3.png 3 1 ...` a line, the fourth being the label; or the same as an array."""
    try:
        if content.startswith(b"\x93NUMPY"):
            lines = np.load(BytesIO(content), allow_pickle=False).astype(str).tolist()
        else:
            lines = [line.split() for line in content.decode().splitlines() if line.strip()]
        return [Picture(f"{line[0]}/{line[1]}", ("0", "1").index(line[3])) for line in lines]
    except (ValueError, IndexError) as error:
        raise zoo.DataError(f"{where} is no Pathfinder metadata: {error}") from error


def _filed(place: Path, tables: list[Path], resolution: Resolution) -> Iterator[Example]:
    """From folders; threads, for Pillow lets go of the lock."""
    listed = [_listed(table.read_bytes(), str(table)) for table in tables]
    left_out = 0
    count = sum(map(len, listed))
    with (
        ThreadPoolExecutor(THREADS) as pool,
        zoo.advancing(f"reading {place.parent.name}", count) as advance,
    ):
        for pictures in listed:
            paths = [place / picture.path for picture in pictures]
            jobs: Iterable[Bytes | None] = pool.map(partial(_opened, side=resolution), paths)
            for picture, pixels in zip(pictures, jobs, strict=True):
                if pixels is None:
                    left_out += 1
                else:
                    yield Example(ALL, picture.label, (pixels.tobytes(),))
            advance(len(pictures))
    _tell(place, left_out, count)


def _archived(archive: Path, resolution: Resolution, difficulty: Difficulty) -> Iterator[Example]:
    """From the archive in one pass: pictures and metadata come in any order."""
    mine = (f"pathfinder{resolution}", FOLDERS[difficulty])
    tables: dict[int, list[Picture]] = {}
    stands: dict[str, int] = {}
    zoo.data_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=zoo.data_folder()) as file:
        with members(archive) as each:
            for path, opening in each:
                at = path.parts.index(mine[1]) if mine[1] in path.parts else 0
                if not at or path.parts[at - 1] != mine[0]:
                    continue
                inside = "/".join(path.parts[at + 1 :])
                if path.suffix == ".npy" and path.stem.isdecimal():
                    tables[int(path.stem)] = _listed(opening().read(), f"{archive}: {path}")
                elif path.suffix == ".png":
                    pixels = _decoded(opening, resolution, f"{archive}: {path}")
                    if pixels is not None:
                        stands[inside] = len(stands)
                        file.write(pixels.tobytes())
        if not tables:
            raise zoo.DataError(f"{archive} holds no {'/'.join(mine)}/metadata")
        left_out = 0
        for number in sorted(tables):
            for picture in tables[number]:
                if picture.path in stands:
                    file.seek(stands[picture.path] * resolution**2)
                    yield Example(ALL, picture.label, (file.read(resolution**2),))
                else:
                    left_out += 1
    _tell(archive, left_out, sum(map(len, tables.values())))


def _opened(path: Path, side: int) -> Bytes | None:
    """One picture's pixels."""
    return _decoded(lambda: path.open("rb"), side, str(path))


def _decoded(opening: Callable[[], IO[bytes]], side: int, where: str) -> Bytes | None:
    """Grey (side, side), or None where nothing can be read; raises DataError for another size."""
    from PIL import Image

    try:
        with opening() as file, Image.open(file) as picture:
            width, height = picture.size  # told before anything large is made of it
            if (width, height) == (side, side):
                pixels: Bytes = np.asarray(picture.convert("L"))
                return pixels
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # all mean broken
        return None
    raise zoo.DataError(f"{where} is {width} x {height}, not {side} x {side}")


def _tell(place: Path, left_out: int, count: int) -> None:
    if left_out == count:
        raise zoo.DataError(f"{place}: none of {count:,} pictures can be read")
    if left_out:
        zoo.note(f"{place}: {left_out} of {count:,} pictures cannot be read and are left out")
