"""The board as CSV: one line a row, for a spreadsheet."""

import csv
import io
from typing import Any

from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.read import Board
from zoo_leaderboard.row import Row
from zoo_leaderboard.rowpart import figures
from zoo_leaderboard.track import Ranked, Track, TrackKey
from zoo_leaderboard.wording import tags

RISKY = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # some spreadsheets take the wide forms too


def table(board: Board) -> str:
    """CSV: one line per row, its track in front, its runs at the end."""
    lines = [line(track, ranked) for track in board.tracks for ranked in track.ranking]
    fields = list(lines[0]) if lines else list(TrackKey._fields)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=fields)  # \r\n: both are then quoted
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
        "lr": ranked.row.lr,
        "rates": " ".join(str(one.lr) for one in ranked.row.rates),
        "tags": ", ".join(tags(track, ranked.row)),
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
