"""The README's own table and figure, out of the committed records: `make readme`.

`--check` writes nothing and fails where they are not those of the records, for CI.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from figures import figure, same
from zoo.record import atomic_write
from zoo_leaderboard.charts import framed, heading
from zoo_leaderboard.charts.line import length
from zoo_leaderboard.charts.pareto import chart
from zoo_leaderboard.document import document
from zoo_leaderboard.markup import markdown_table
from zoo_leaderboard.read import board
from zoo_leaderboard.tables import Table, track_table

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "leaderboard" / "records"
PLACE = re.compile(r"(<!-- board: make readme -->\n).*?(<!-- /board -->)", re.S)
TASK, COST = "lra/listops", "flops_per_token"
BY_LENGTH = "copy"
LEFT_OUT = ("train tokens/s", "peak memory", "forward")
"""Measured while other work ran on that machine: on the page, but not to be quoted."""


def contents() -> Iterator[tuple[Path, bytes]]:
    """Every file that is made of the records, as it should be."""
    whole = board(RECORDS)
    made = document(whole)
    (track,) = (track for track in whole.tracks if track.key.task == TASK)
    (shown,) = (track for track in made["tracks"] if track["task"] == TASK)
    (far,) = (track for track in made["tracks"] if track["task"] == BY_LENGTH)
    for name, spec, of in (
        ("board", chart(made, shown, COST), shown),
        ("by-length", length(made, far), far),
    ):
        assert spec is not None
        yield ROOT / "docs" / f"{name}.svg", figure(framed(spec, heading(of), of["note"]))
    text = "\n".join(markdown_table(narrow(track_table(track))))
    readme = ROOT / "README.md"
    page, count = PLACE.subn(lambda m: f"{m[1]}{text}{m[2]}", readme.read_text(encoding="utf-8"))
    assert count == 1, "README.md has no place for the table"
    yield readme, page.encode()


def narrow(table: Table) -> Table:
    """The columns that a README has room for."""
    kept = [i for i, name in enumerate(table.header) if not name.startswith(LEFT_OUT)]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return Table(table.title, table.notes, tuple(table.header[i] for i in kept), rows, table.left)


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it would")
    check = parser.parse_args().check
    stale = [(path, content) for path, content in contents() if not same(path, content)]
    for path, content in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is not what the records say: type `make readme`", file=sys.stderr)
        else:
            atomic_write(path, content)
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
