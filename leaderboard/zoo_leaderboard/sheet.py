"""A track as the page shows it: every cell with its text, its value to sort by and its marks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from zoo.record import Record
from zoo_leaderboard.column import COLUMNS, Column
from zoo_leaderboard.measured import headline
from zoo_leaderboard.row import Row
from zoo_leaderboard.track import Ranked, Track
from zoo_leaderboard.wording import MISSING, score, short, span


class Head(NamedTuple):
    """A column's title and how to sort by it: the best first."""

    key: str
    title: str
    below: str
    best: str
    """`ascending` or `descending`."""


class Cell(NamedTuple):
    """A figure; ``value`` is what it sorts by, empty when missing."""

    text: str
    value: str
    front: bool


class Line(NamedTuple):
    """A row of the table; ``number`` is its place in the JSON, None for the line of chance."""

    number: int | None
    rank: str
    label: str
    under: str
    tags: tuple[str, ...]
    mean: Cell
    interval: str
    forest: str
    """Style of the little interval plot: percentages of its width, or empty."""
    seeds: str
    cells: tuple[Cell, ...]


class Run(NamedTuple):
    """One run behind a row."""

    label: str
    record: Record
    value: str


@dataclass(frozen=True)
class Sheet:
    """One track, ready to be shown."""

    track: Track
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    runs: tuple[Run, ...]
    chance: str


def sheet(track: Track) -> Sheet:
    """Best first, with chance standing among the rows where it belongs."""
    low, high = limits(track)
    lines = [line(track, i, ranked, low, high) for i, ranked in enumerate(track.ranking)]
    if track.chance is not None:
        sign = 1 if track.higher_is_better else -1
        means = [row.summary.mean for _, row in track.ranking if row.summary]
        ahead = sum(sign * mean > sign * track.chance for mean in means)
        lines.insert(ahead, guess(track.chance, low, high))
    every = [Run(r.label, one, score(headline(one))) for _, r in track.ranking for one in r.records]
    heads = tuple(head(track, column) for column in COLUMNS)
    chance = MISSING if track.chance is None else score(track.chance)
    return Sheet(track, heads, tuple(lines), tuple(every), chance)


def head(track: Track, column: Column) -> Head:
    """The title of a cost, with the length it was compared at."""
    length = track.length(column)
    below = f"at {length} tokens" if length is not None else ""
    return Head(column.key, column.title, below, "ascending" if column.less else "descending")


def line(track: Track, number: int, ranked: Ranked, low: float, high: float) -> Line:
    """One row."""
    rank, row = ranked
    mean = row.summary.mean if row.summary else None
    interval = row.summary.interval if row.summary else None
    cells = []
    for column in COLUMNS:
        value = track.cost(row, column)
        front = row in track.fronts[column.key]
        cells.append(Cell(short(value, column.unit), sortable(value), front))
    return Line(
        number,
        str(rank or MISSING),
        row.label,
        " · ".join(part for part in (row.first.mixer.family, row.first.mixer.kernel) if part),
        tuple(tags(track, row)),
        Cell(row.outcome if mean is None else score(mean), sortable(mean), False),
        span(interval) if interval else "",
        "" if mean is None else forest(interval or (mean, mean), mean, low, high),
        f"{len(row.ok)}/{row.planned}",
        tuple(cells),
    )


def guess(chance: float, low: float, high: float) -> Line:
    """The line of who guesses."""
    style = forest((chance, chance), chance, low, high) if low <= chance <= high else ""
    blank = tuple(Cell("", "", False) for _ in COLUMNS)
    mean = Cell(score(chance), sortable(chance), False)
    return Line(None, "", "chance", "", (), mean, "", style, "", blank)


def tags(track: Track, row: Row) -> Iterable[str]:
    """What a reader must know before quoting the row."""
    if row.provisional:
        yield "provisional"
    if track.learned(row) is False:
        yield "not above chance"
    if len({record.env.commit for record in row.records}) > 1:
        yield "several commits"
    if any(record.env.dirty for record in row.records):
        yield "uncommitted changes"


def limits(track: Track) -> tuple[float, float]:
    """The ends of the interval plots; chance lies inside unless it is far from every row."""
    ends = [
        end
        for row in track.rows
        if row.summary
        for end in (row.summary.mean, *(row.summary.interval or ()))
    ]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    if track.chance is not None and low - (high - low) <= track.chance <= high + (high - low):
        low, high = min(low, track.chance), max(high, track.chance)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def forest(interval: tuple[float, float], mean: float, low: float, high: float) -> str:
    """CSS variables, made of numbers only."""
    names = ("low", "high", "mean")
    places = ((value - low) / (high - low) * 100 for value in (*interval, mean))
    return "".join(f"--{n}:{p:.2f}%;" for n, p in zip(names, places, strict=True))


def sortable(value: float | None) -> str:
    """All digits, for the script that sorts."""
    return "" if value is None else repr(value)
