"""The board as plain tables, for people to paste: every suite, then every track."""

from dataclasses import dataclass
from itertools import compress

from zoo_leaderboard.column import COLUMNS, Column
from zoo_leaderboard.read import Board
from zoo_leaderboard.suite import Entry, Suite, suites
from zoo_leaderboard.track import Ranked, Track
from zoo_leaderboard.wording import MISSING, cost, marks, score, span


@dataclass(frozen=True)
class Table:
    """Text as records have it: whoever writes it out escapes it."""

    title: str
    notes: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int
    """The column of names, which stands left; figures stand right."""


def tables(board: Board) -> list[Table]:
    """Suites first, as in the terminal."""
    return [
        *(suite_table(suite) for suite in suites(board.tracks)),
        *(track_table(track) for track in board.tracks),
    ]


def track_table(track: Track) -> Table:
    """The rows of one track with every cost that was measured."""
    key = track.key
    columns = [c for c in COLUMNS if any(track.cost(row, c) is not None for row in track.rows)]
    better = "more" if track.higher_is_better else "less"
    said = [mark for row in track.rows for mark in marks(track, row)]
    notes = [
        key.note,
        f"{key.device}, {key.precision}, id {key.id}; {key.headline}: {better} is better"
        + ("" if track.chance is None else f", chance {score(track.chance)}"),
        *(f"{sign} {meaning}" for sign, meaning in dict.fromkeys(said)),
    ]
    return Table(
        f"{key.task}, protocol {key.protocol}, budget {key.budget}",
        tuple(note for note in notes if note),
        ("#", "mixer", key.headline, "95 %", "seeds", *(title(track, c) for c in columns)),
        tuple(track_line(track, ranked, columns) for ranked in track.ranking),
        1,
    )


def title(track: Track, column: Column) -> str:
    """Of a cost, with the length at which it was measured."""
    length = track.length(column)
    return column.title if length is None else f"{column.title} at {length}"


def track_line(track: Track, ranked: Ranked, columns: list[Column]) -> tuple[str, ...]:
    """One row; its name carries the signs that the notes explain."""
    rank, row = ranked
    return (
        str(rank or MISSING),
        row.label + "".join(sign for sign, _ in marks(track, row)),
        score(row.summary.mean) if row.summary else row.outcome,
        span(row.summary.interval if row.summary else None),
        f"{len(row.ok)}/{row.planned}",
        *(cost(track, row, column) for column in columns),
    )


def suite_table(suite: Suite) -> Table:
    """Means and ranks, and every task that has records here."""
    key = suite.tracks[0].key
    here = [track is not None for track in suite.columns.values()]
    absent = [task for task, track in suite.columns.items() if track is None]
    ranks = f"; rank: mean over {len(suite.rank_tasks)} tasks" if suite.ranked else ""
    notes = [
        suite.note,
        f"{key.device}, {key.precision}{ranks}",
        f"no record here: {', '.join(absent)}" if absent else "",
        "* provisional: some task has fewer than three seeds that ended well"
        if any(entry.provisional for entry in suite.entries)
        else "",
    ]
    rows = tuple(
        (
            entry.label + ("*" if entry.provisional else ""),
            *map(score, entry.means.values()),
            *([place(entry)] if suite.ranked else []),
            *(c.state if c.mean is None else score(c.mean) for c in compress(entry.cells, here)),
        )
        for entry in suite.entries
    )
    rank = ["rank"] if suite.ranked else []
    header = ("mixer", *suite.averages, *rank, *compress(suite.columns, here))
    return Table(
        f"{suite.title}, budget {key.budget}", tuple(n for n in notes if n), header, rows, 0
    )


def place(entry: Entry) -> str:
    """The mean of its ranks, in two decimals."""
    return MISSING if entry.rank_mean is None else f"{entry.rank_mean:.2f}"
