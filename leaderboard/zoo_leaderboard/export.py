"""The board as a file: a page, CSV, JSON, Markdown or LaTeX, written whole or not at all."""

import json
from errno import ENOSPC
from pathlib import Path
from typing import Any

from zoo.errors import DiskFull, ZooError
from zoo.record import atomic_write
from zoo_leaderboard.read import Board


def save(board: Board, path: Path, kind: str) -> None:
    """Write the board as html, csv, json, md or tex; raises ZooError that names the path."""
    put(path, content(board, kind), kind)


def content(board: Board, kind: str) -> bytes:
    """What stands in the file. Each writer is imported by those who ask for it."""
    if kind == "html":
        from zoo_leaderboard.page import page

        return page(board)
    if kind == "csv":
        from zoo_leaderboard.spreadsheet import table

        return table(board).encode(errors="backslashreplace")  # a lone surrogate
    if kind == "json":
        from zoo_leaderboard.document import document

        return text_of(document(board))
    from zoo_leaderboard.markup import latex, markdown
    from zoo_leaderboard.tables import tables

    return {"md": markdown, "tex": latex}[kind](tables(board)).encode(errors="backslashreplace")


def text_of(whole: dict[str, Any]) -> bytes:
    """JSON, one entry a line; no NaN, and ASCII so that no name can break the encoding."""
    return (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode()


def put(path: Path, content: bytes, kind: str) -> None:
    """Write a file that was asked for with ``--kind``; raises ZooError that names the path."""
    try:
        atomic_write(path, content)
    except OSError as error:
        raise (DiskFull if error.errno == ENOSPC else ZooError)(
            f"--{kind} {path}: {error.strerror}; name a file in a folder you may write to"
        ) from error
