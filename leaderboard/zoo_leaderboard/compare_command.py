"""`zoo compare A B`: differences with intervals and tests, and what they cost."""

# Only what Typer needs to read the signature: `zoo --help` imports this file.
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from zoo_leaderboard.compare import Contest


def compare(
    names: Annotated[
        list[str], typer.Argument(help="Mixers or rows as the board calls them; baseline first.")
    ],
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    runs: Annotated[
        Path, typer.Option(envvar="ZOO_RUNS", help="Folder with the records of the runs.")
    ] = Path("runs"),
    json: Annotated[Path | None, typer.Option(help="Also write it as JSON.")] = None,
) -> None:
    """Set rows against the first one: paired t or Welch, Holm over many, ratios of costs."""
    from rich.console import Console

    from zoo_leaderboard.compare import contest_part, contests
    from zoo_leaderboard.export import put, text_of
    from zoo_leaderboard.read import board
    from zoo_leaderboard.wording import visible

    whole = board(runs)
    for problem in whole.problems:
        print(f"problem: {visible(problem)}", file=sys.stderr)
    found, unclear = contests(whole.tracks, names, task)
    for said in unclear:
        print(f"left out: {visible(said)}", file=sys.stderr)
    if json is not None:
        parts = [contest_part(one) for one in found]
        put(json, text_of({"format": 1, "contests": parts, "left_out": unclear}), "json")
        print(f"wrote {json}", file=sys.stderr)
    console = Console()
    for one in found:
        show(one, console)


def show(contest: "Contest", console: "Console") -> None:
    """One track: its differences, then its ratios of costs."""
    from rich.text import Text

    from zoo_leaderboard.compare import verdict
    from zoo_leaderboard.terminal import draw, heading
    from zoo_leaderboard.wording import MISSING, chances, score, signed, visible

    track, key = contest.track, contest.track.key
    heading(f"{key.task} · protocol {key.protocol} · budget {key.budget}", key.note, console)
    better = "more" if track.higher_is_better else "less"
    mean = contest.baseline.summary.mean if contest.baseline.summary else None
    base = f"against {contest.baseline.label}, {key.headline} {score(mean)} ({better} is better)"
    where = f"{key.device} · {key.precision} · id {key.id}"
    for text in (where, base):
        console.print(Text(visible(text), style="dim"))
    header = ["mixer", "difference", "95 %", "test", "p", "Holm", "seeds", "says"]
    body = [
        [
            one.row.label,
            signed(said.difference),
            MISSING if said.low is None else f"{signed(said.low)}…{signed(said.high)}",
            (said.test or MISSING).removesuffix(" t"),
            chances(said.p),
            chances(one.holm),
            f"{said.n_a}, {said.n_b}",
            verdict(track, one),
        ]
        for one in contest.others
        for said in [one.comparison]
    ]
    draw([list(cells) for cells in zip(header, *body, strict=True)], console)
    show_ratios(contest, console)
    if contest.absent:
        text = f"no row here: {', '.join(contest.absent)}"
        console.print(Text(visible(text), style="dim"))
    console.print()


def show_ratios(contest: "Contest", console: "Console") -> None:
    """What the others cost, over what the baseline costs; under each title which way is better."""
    from zoo_leaderboard.column import COLUMNS
    from zoo_leaderboard.terminal import draw
    from zoo_leaderboard.wording import MISSING, digits

    columns = [c for c in COLUMNS if any(c.key in one.ratios for one in contest.others)]
    if not columns:
        return
    header = ["cost over\nmixer", *(f"{c.brief}\n{'less' if c.less else 'more'}" for c in columns)]
    body = [
        [
            one.row.label,
            *(f"x{digits(one.ratios[c.key])}" if c.key in one.ratios else MISSING for c in columns),
        ]
        for one in contest.others
    ]
    draw([list(cells) for cells in zip(header, *body, strict=True)], console)
