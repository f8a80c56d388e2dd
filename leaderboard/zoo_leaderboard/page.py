"""The page: one offline file, tables made here, a chart drawn by the reader's browser."""

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo_leaderboard.bundle import bundle
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.curve import chart
from zoo_leaderboard.export import document, table
from zoo_leaderboard.read import Board
from zoo_leaderboard.sheet import sheet
from zoo_leaderboard.suite import suites
from zoo_leaderboard.wording import MISSING, score, visible

FOLDER = "templates"


def page(board: Board, vega: str | None = None) -> bytes:
    """HTML that loads nothing from anywhere; ``vega`` replaces the chart's JavaScript in tests."""
    room = Environment(
        loader=PackageLoader("zoo_leaderboard", FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    records = [record for track in board.tracks for row in track.rows for record in row.records]
    text = room.get_template("page.html").render(
        sheets=[sheet(track) for track in board.tracks],
        suites=suites(board.tracks),
        problems=board.problems,
        count=len(records),
        newest=max(record.started for record in records)[:10],
        commits=sorted({record.env.commit or MISSING for record in records}),
        score=score,
        visible=visible,
        island=island(
            {
                "document": document(board),
                "axes": axes(),
                "curves": {track.key.anchor: chart(track) for track in board.tracks},
                "csv": table(board),
            }
        ),
        css=own(room, "page.css"),
        js=own(room, "page.js"),
        vega=bundle() if vega is None else vega,
    )
    # What is no character (a lone surrogate in a name) is shown as the browser's replacement.
    return text.encode(errors="xmlcharrefreplace")


def axes() -> list[dict[str, Any]]:
    """What the chart may set quality against."""
    return [column._asdict() for column in COLUMNS]


def own(room: Environment, name: str) -> str:
    """One of our own files as it is; nothing from a record is ever put into it."""
    assert room.loader is not None
    return room.loader.get_source(room, name)[0]


def island(content: Any) -> str:
    """JSON that cannot end the script element it stands in, nor start a comment there."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
