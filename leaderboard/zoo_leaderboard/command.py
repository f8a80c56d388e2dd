"""`zoo leaderboard`: quality against efficiency, from the records and nothing else."""

# Only what Typer needs to read the signature: `zoo --help` imports this file.
import sys
from pathlib import Path
from typing import Annotated

import typer


def leaderboard(
    runs: Annotated[
        Path, typer.Option(envvar="ZOO_RUNS", help="Folder with the records of the runs.")
    ] = Path("runs"),
    html: Annotated[
        Path | None, typer.Option(help="Also write one offline page: tables and a chart.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write one line per row.")] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write rows, tracks and their provenance.")
    ] = None,
) -> None:
    """Quality against efficiency, with intervals and provenance, one table per track."""
    from rich.console import Console

    from zoo_leaderboard.export import save
    from zoo_leaderboard.read import board
    from zoo_leaderboard.terminal import show
    from zoo_leaderboard.wording import visible

    whole = board(runs)
    for problem in whole.problems:
        print(f"problem: {visible(problem)}", file=sys.stderr)
    for path, kind in ((html, "html"), (csv, "csv"), (json, "json")):
        if path is not None:
            save(whole, path, kind)
            print(f"wrote {path}", file=sys.stderr)
    show(whole, Console())
