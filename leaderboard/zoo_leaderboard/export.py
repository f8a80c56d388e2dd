"""The board as a file: CSV for a spreadsheet, JSON for a program, HTML for a reader."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from zoo.errors import DiskFull, ZooError
from zoo.record import Record, atomic_write
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.read import Board
from zoo_leaderboard.row import Row
from zoo_leaderboard.suite import Suite, suites
from zoo_leaderboard.track import Ranked, Track

FORMAT = 1
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


def save(board: Board, path: Path, kind: str) -> None:
    """Write the board whole or not at all; raises ZooError that names the path."""
    if kind == "html":
        from zoo_leaderboard.page import page  # Jinja2 and Vega only for those who ask for a page

        content = page(board)
    elif kind == "csv":
        content = table(board).encode(errors="backslashreplace")  # a lone surrogate
    else:
        content = (json.dumps(document(board), indent=1, allow_nan=False) + "\n").encode()
    try:
        atomic_write(path, content)
    except OSError as error:
        full = error.errno == 28
        raise (DiskFull if full else ZooError)(
            f"--{kind} {path}: {error.strerror}; name a file in a folder you may write to"
        ) from error


def document(board: Board) -> dict[str, Any]:
    """Everything that is shown, as JSON; no NaN, null where a value is missing."""
    return {
        "format": FORMAT,
        "tracks": [track_part(track) for track in board.tracks],
        "suites": [suite_part(suite) for suite in suites(board.tracks)],
        "problems": list(board.problems),
    }


def track_part(track: Track) -> dict[str, Any]:
    """The conditions and the rows, best first."""
    return {
        "track": track.key.anchor,
        **track.key._asdict(),
        "note": track.key.note,
        "higher_is_better": track.higher_is_better,
        "chance": track.chance,
        "trained_to": track.trained_to,
        "lengths": {c.key: track.length(c) for c in COLUMNS if c.by_length},
        "rows": [row_part(track, ranked) for ranked in track.ranking],
    }


def row_part(track: Track, ranked: Ranked) -> dict[str, Any]:
    """One row: its figures, where it stands and which runs it comes from."""
    row = ranked.row
    return {
        **figures(track, ranked),
        "options": row.first.mixer.options,
        "curve": [
            {"length": length, "mean": at.mean, "low": low, "high": high}
            for length, at in row.curve.items()
            for low, high in [at.interval or (None, None)]
        ],
        "on_front": [key for key, rows in track.fronts.items() if row in rows],
        "runs": [run_part(record) for record in row.records],
    }


def figures(track: Track, ranked: Ranked) -> dict[str, Any]:
    """The flat part, the same in CSV and JSON."""
    rank, row = ranked
    summary, mixer = row.summary, row.first.mixer
    low, high = summary.interval if summary and summary.interval else (None, None)
    return {
        "rank": rank,
        "label": row.label,
        "mixer": mixer.name,
        "family": mixer.family,
        "kernel": mixer.kernel,
        "mean": summary.mean if summary else None,
        "low": low,
        "high": high,
        "seeds_ok": len(row.ok),
        "seeds_planned": row.planned,
        "provisional": row.provisional,
        "above_chance": track.learned(row),
        **{column.key: track.cost(row, column) for column in COLUMNS},
    }


def run_part(record: Record) -> dict[str, Any]:
    """Where one seed's figure comes from."""
    metric = record.metrics.get(record.headline)
    return {
        "run_id": record.run_id,
        "seed": record.seed,
        "status": record.status,
        "failure": record.failure.model_dump() if record.failure else None,
        "value": metric.value if metric else None,
        "split": metric.split if metric else None,
        "items": metric.n if metric else None,
        "config_sha256": record.config_sha256,
        "commit": record.env.commit,
        "dirty": record.env.dirty,
        "python": record.env.python,
        "torch": record.env.torch,
        "deterministic": record.env.deterministic,
        "plugins": record.env.plugins,
        "data": record.data.model_dump(),
        "started": record.started,
        "seconds": record.seconds,
        "steps": record.steps,
        "tokens": record.tokens,
        "resumed": record.resumed,
        "missing": record.missing,
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
        "rows": [
            {
                "label": entry.label,
                "means": entry.means,
                "provisional": entry.provisional,
                "cells": [cell._asdict() for cell in entry.cells],
            }
            for entry in suite.entries
        ],
    }


def table(board: Board) -> str:
    """CSV: one line per row, its track in front, its runs at the end."""
    lines = [line(track, ranked) for track in board.tracks for ranked in track.ranking]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(lines[0]))  # \r\n: both are then quoted
    writer.writeheader()
    writer.writerows({key: safe(value) for key, value in one.items()} for one in lines)
    return text.getvalue()


def line(track: Track, ranked: Ranked) -> dict[str, Any]:
    """One row of the CSV."""
    return {
        **track.key._asdict(),
        "note": track.key.note,
        "higher_is_better": track.higher_is_better,
        "chance": track.chance,
        **{f"{c.key}_length": track.length(c) for c in COLUMNS if c.by_length},
        **figures(track, ranked),
        **joined(ranked.row),
    }


def joined(row: Row) -> dict[str, str]:
    """Provenance of a row in four cells."""
    return {
        "seeds": " ".join(str(record.seed) for record in row.records),
        "statuses": " ".join(record.status for record in row.records),
        "runs": " ".join(record.run_id for record in row.records),
        "commits": " ".join(sorted({str(record.env.commit) for record in row.records})),
        "config_sha256": " ".join(sorted({record.config_sha256 for record in row.records})),
    }


def safe(value: Any) -> Any:
    """A spreadsheet must not take a name for a formula; numbers, which may start with -, stay."""
    if not isinstance(value, str) or not value.startswith(RISKY):
        return "" if value is None else value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
