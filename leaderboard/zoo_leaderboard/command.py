"""`zoo leaderboard`: quality against efficiency, from the records and nothing else."""

# Only what Typer needs to read the signature: `zoo --help` imports this file.
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board

File = Path | None


def leaderboard(
    runs: Annotated[
        Path, typer.Option(envvar="ZOO_RUNS", help="Folder with the records of the runs.")
    ] = Path("runs"),
    html: Annotated[File, typer.Option(help="Also write one offline page.")] = None,
    csv: Annotated[File, typer.Option(help="Also write one line per row.")] = None,
    json: Annotated[File, typer.Option(help="Also write all of it, with its provenance.")] = None,
    md: Annotated[File, typer.Option(help="Also write Markdown tables.")] = None,
    tex: Annotated[File, typer.Option(help="Also write LaTeX tables (booktabs).")] = None,
    charts: Annotated[
        File, typer.Option(help="Also write every chart as SVG and PNG into this folder.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page here, anew as runs finish.")
    ] = False,
    port: Annotated[int, typer.Option(help="For --serve; 0 for any that is free.")] = 8765,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 3 if a record has a problem.")
    ] = False,
) -> int:
    """Quality against efficiency, with intervals and provenance, one table per track."""
    if serve:
        return live(runs, port)
    from rich.console import Console

    from zoo.errors import DataError
    from zoo_leaderboard.export import save
    from zoo_leaderboard.read import board
    from zoo_leaderboard.terminal import show

    whole = board(runs)
    complain(whole)
    files = {"html": html, "csv": csv, "json": json, "md": md, "tex": tex}
    for kind, path in files.items():
        if path is not None:
            save(whole, path, kind)
            print(f"wrote {path}", file=sys.stderr)
    if charts is not None:
        from zoo_leaderboard import charts as drawing

        for path in drawing.save(whole, charts):
            print(f"wrote {path}", file=sys.stderr)
    show(whole, Console())
    return DataError.exit_code if strict and whole.problems else 0


def live(runs: Path, port: int) -> int:
    """Serve the page until Ctrl-C."""
    from threading import Event

    from zoo_leaderboard.page import page
    from zoo_leaderboard.read import board
    from zoo_leaderboard.serve import serve

    def draw(folder: Path) -> bytes:
        whole = board(folder, empty_ok=True)
        complain(whole)
        return page(whole, live=True)

    serve(runs, port, draw, Event())
    return 0


def complain(board: "Board") -> None:
    """Every problem, a line each, on stderr."""
    from zoo_leaderboard.wording import visible

    for problem in board.problems:
        print(f"problem: {visible(problem)}", file=sys.stderr)
