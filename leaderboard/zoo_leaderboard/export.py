"""The board as a file: CSV for a spreadsheet, JSON for a program, HTML for a reader."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from zoo.errors import DiskFull, ZooError
from zoo.record import atomic_write
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.document import document
from zoo_leaderboard.read import Board
from zoo_leaderboard.row import Row
from zoo_leaderboard.rowpart import figures
from zoo_leaderboard.track import Ranked, Track

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
