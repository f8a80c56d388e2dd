"""The board in a terminal: one table per track, narrow enough for 80 columns."""

from collections.abc import Sequence
from itertools import compress
from shlex import quote

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from zoo_leaderboard.column import COLUMNS, Column
from zoo_leaderboard.read import Board
from zoo_leaderboard.suite import Suite, suites
from zoo_leaderboard.tables import place
from zoo_leaderboard.track import Ranked, Track
from zoo_leaderboard.wording import MISSING, cost, marks, score, span, visible

MOST = 60
"""Rows of a table that a terminal shows; nobody reads three thousand there."""
NAME = 42
"""Of a name as much as keeps its columns of cost; the rest of it is folded."""


def show(board: Board, console: Console) -> None:
    """Suites first, then every track."""
    for suite in suites(board.tracks):
        show_suite(suite, console)
    for track in board.tracks:
        show_track(track, console)
    every = [mark for track in board.tracks for row in track.rows for mark in marks(track, row)]
    for sign, meaning in dict.fromkeys(every):
        console.print(Text(f"{sign} {meaning}", style="dim"))
    hint(board, console)


def hint(board: Board, console: Console) -> None:
    """What to type next: two rows of one track to compare, and where the rest is to be seen."""
    track = next((t for t in board.tracks if len(t.rows) > 1), None)
    if track:
        names = " ".join(quote(visible(one.row.label)) for one in track.ranking[:2])
        text = f"is that a difference? zoo compare {names} --task {quote(visible(track.key.task))}"
        console.print(Text(text, style="dim"))
    more = f" and {len(board.profiles)} profiles" if board.profiles else ""
    text = f"provenance, curves{more}: zoo leaderboard --html board.html"
    console.print(Text(text, style="dim"))


def show_track(track: Track, console: Console) -> None:
    """One track: its conditions, its rows best first, and chance."""
    key = track.key
    where = f"{key.device} · {key.precision} · id {key.id}"
    heading(f"{key.task} · protocol {key.protocol} · budget {key.budget}", key.note, console)
    console.print(Text(visible(where), style="dim"))
    header = ["#", "mixer", key.headline, "95 %", "seeds"]
    body = [line(track, ranked) for ranked in track.ranking]
    columns = [list(one) for one in zip(header, *body, strict=True)]
    hidden = []
    for column in COLUMNS:
        more = costs(track, column)
        if set(more[1:]) == {MISSING}:
            continue
        if sum(map(width, [*columns, more])) - max(0, width(columns[1]) - NAME) <= console.width:
            columns.append(more)
        else:
            hidden.append(column.brief)
    draw(columns, console)
    better = "more" if track.higher_is_better else "less"
    chance = "" if track.chance is None else f"; chance {score(track.chance)}"
    console.print(Text(f"{visible(key.headline)}: {better} is better{chance}", style="dim"))
    if hidden:
        text = f"no room here, but in --csv and --html: {', '.join(hidden)}"
        console.print(Text(text, style="dim"))
    show_curve(track, console)
    console.print()


def show_curve(track: Track, console: Console) -> None:
    """The score at each length, best mixer first; the longest lengths where not all fit."""
    lengths = track.curve_lengths
    if not lengths:
        return
    rows = [row for _, row in track.ranking if row.curve]
    first = [f"{track.key.headline} at\nmixer", *(row.label for row in rows)]
    columns = []
    for length in lengths:
        seen = track.trained_to is None or length <= track.trained_to
        means = (row.curve.get(length) for row in rows)
        cells = [score(one.mean if one else None) for one in means]
        columns.append([f"{length}\n{'' if seen else 'unseen'}", *cells])
    while columns and sum(map(width, [first, *columns])) > console.width:
        del columns[0]
    draw([first, *columns], console)
    if track.trained_to is not None:
        text = f"unseen: longer than the {track.trained_to} that training shows"
        console.print(Text(text, style="dim"))


def costs(track: Track, column: Column) -> list[str]:
    """One column of cost, its unit or length under its title."""
    length = track.length(column)
    below = " ".join(part for part in (column.below, f"@{length}" if length else "") if part)
    values = [cost(track, row, column) for _, row in track.ranking]
    return [f"{column.brief}\n{below}".strip(), *(v.removesuffix(" ms") for v in values)]


def line(track: Track, ranked: Ranked) -> list[str]:
    """The cells that every terminal has room for."""
    rank, row = ranked
    summary = row.summary
    name = row.label + "".join(mark for mark, _ in marks(track, row))
    return [
        str(rank or MISSING),
        name,
        score(summary.mean) if summary else row.outcome,
        span(summary.interval if summary else None),
        f"{len(row.ok)}/{row.planned}",
    ]


def show_suite(suite: Suite, console: Console) -> None:
    """One suite: means where every task of one has a score, and a word where it has not."""
    key = suite.tracks[0].key
    heading(f"{suite.title} · budget {key.budget}", suite.note, console)
    console.print(Text(visible(f"{key.device} · {key.precision}"), style="dim"))
    here = [track is not None for track in suite.columns.values()]
    tasks = [task.partition("/")[2] for task in compress(suite.columns, here)]
    ranked = suite.ranked
    rows = [
        [
            entry.label + ("*" if entry.provisional else ""),
            *map(score, entry.means.values()),
            *([place(entry)] if ranked else []),
            *(c.state if c.mean is None else score(c.mean) for c in compress(entry.cells, here)),
        ]
        for entry in suite.entries
    ]
    header = ["mixer", *suite.averages, *(["rank"] if ranked else []), *tasks]
    draw([list(one) for one in zip(header, *rows, strict=True)], console)
    absent = [task for task, track in suite.columns.items() if track is None]
    if absent:
        console.print(Text(visible(f"no record here: {', '.join(absent)}"), style="dim"))
    if ranked:
        count = len(suite.rank_tasks)
        text = f"rank: mean over {count} tasks, of mixers that have all"
        console.print(Text(text, style="dim"))
    if not suite.comparable:
        console.print(Text("no means: the tasks are scored by different metrics", style="dim"))
    for track in suite.outdated:
        text = f"left out: {track.key.task} id {track.key.id}, which a newer id supersedes"
        console.print(Text(visible(text), style="dim"))
    console.print()


def heading(text: str, note: str, console: Console) -> None:
    """A title, and the note that must not be missed."""
    console.print(Text(visible(text), style="bold"))
    if note:
        console.print(Text(note, style="bold yellow"))


def draw(columns: Sequence[Sequence[str]], console: Console) -> None:
    """Plain columns; names stand left, figures right. No cell is read as markup."""
    table = Table(box=None, padding=(0, 1))
    for name, *_ in columns:
        justify: JustifyMethod = "left" if name.endswith("mixer") else "right"
        # Where there is no room for all, names are folded; a folded figure is another figure.
        figure = justify == "right"
        table.add_column(Text(lines(name)), justify=justify, overflow="fold", no_wrap=figure)
    rows = list(zip(*(cells for _, *cells in columns), strict=True))
    for row in rows[:MOST]:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console.print(table)
    if len(rows) > MOST:
        text = f"{len(rows) - MOST} more rows, in --csv and --html"
        console.print(Text(text, style="dim"))


def width(cells: Sequence[str]) -> int:
    """Of a column, with the space around it."""
    return 2 + max(cell_len(line) for cell in cells for line in lines(cell).split("\n"))


def lines(cell: str) -> str:
    """A title may have two lines."""
    return "\n".join(visible(line) for line in cell.split("\n", 1))
