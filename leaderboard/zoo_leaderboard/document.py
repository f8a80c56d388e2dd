"""Everything that is shown, as JSON: what the page draws, what `--json` writes."""

from collections.abc import Sequence
from importlib.metadata import version
from math import inf, isfinite
from typing import Any

from zoo.record import Record
from zoo_leaderboard.age import age
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.files import unhurried
from zoo_leaderboard.read import Board
from zoo_leaderboard.rowpart import row_part
from zoo_leaderboard.statistics import RANGES
from zoo_leaderboard.suite import Suite, suites
from zoo_leaderboard.track import Track

FORMAT = 2
POINTS = 100
"""Points of a curve of training, at most; a hundred at each of thousands of rows make no page."""
POINTS_IN_ALL = 60_000


def document(board: Board) -> dict[str, Any]:
    """No NaN, null where a value is missing; text from records stands in it as it is."""
    with unhurried():
        rows = sum(len(track.rows) for track in board.tracks)
        points = max(20, min(POINTS, POINTS_IN_ALL // max(rows, 1)))
        return {
            "format": FORMAT,
            "made": made(board),
            "columns": [column._asdict() for column in COLUMNS],
            "tracks": [track_part(track, points) for track in board.tracks],
            "suites": [suite_part(suite) for suite in suites(board.tracks)],
            **others(board),
            "problems": list(board.problems),
        }


def made(board: Board) -> dict[str, Any]:
    """From how many records, the newest of them and the commits they ran at."""
    records = every(board.tracks)
    newest = max(records, key=age, default=None)
    return {
        "records": len(records),
        "newest": newest.started if newest else "",
        "commits": sorted({r.env.commit for r in records if r.env.commit is not None}),
        "zoo": version("mixer-zoo"),
    }


def every(tracks: Sequence[Track]) -> list[Record]:
    """The records behind what is shown, those of the rates that were not chosen too."""
    rows = [row for track in tracks for row in track.rows]
    return [record for row in rows for record in (*row.records, *row.rest)]


def others(board: Board) -> dict[str, Any]:
    """What stands beside the tracks: profiles, published figures, claims."""
    from zoo.profile.summary import summarise
    from zoo_leaderboard import findings, published

    return {
        "profiles": summarise(board.profiles),
        "published": published.part(board),
        "findings": findings.part(board),
    }


def track_part(track: Track, points: int = POINTS) -> dict[str, Any]:
    """The conditions and the rows, best first."""
    span = RANGES.get(track.key.headline, (-inf, inf))
    return {
        "track": track.key.anchor,
        **track.key._asdict(),
        "note": track.key.note,
        "higher_is_better": track.higher_is_better,
        "chance": track.chance,
        "range": [end if isfinite(end) else None for end in span],
        "trained_to": track.trained_to,
        "lengths": {c.key: track.length(c) for c in COLUMNS if c.by_length},
        "rows": [row_part(track, ranked, points) for ranked in track.ranking],
    }


def suite_part(suite: Suite) -> dict[str, Any]:
    """The aggregate and the tracks it is over."""
    return {
        "title": suite.title,
        "suite": suite.name,
        "note": suite.note,
        "tracks": [track.key.anchor for track in suite.tracks],
        "outdated": [track.key.anchor for track in suite.outdated],
        "averages": {name: list(tasks) for name, tasks in suite.averages.items()},
        "tasks": list(suite.columns),
        "comparable": suite.comparable,
        "rank_tasks": list(suite.rank_tasks),
        "rows": [
            {
                "label": entry.label,
                "means": entry.means,
                "rank_mean": entry.rank_mean,
                "provisional": entry.provisional,
                "cells": [cell._asdict() for cell in entry.cells],
            }
            for entry in suite.entries
        ],
    }
