"""The generated part of docs/efficiency.md: tables and charts of committed profiles.

    zoo profile -m mixer=... length=256..65536          # measures, below $ZOO_RUNS/profiles
    cp -r runs/profiles leaderboard/records/            # what is to be shown
    python docs/efficiency.py                          # writes; --check only says whether it would

The charts are SVG, drawn without a browser; `zoo leaderboard` shows the same ones, to be looked
into.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from figures import figure, same
from zoo.errors import DataError
from zoo.profile import record
from zoo.profile.chart import charts
from zoo.profile.summary import summarise
from zoo.profile.tell import QUANTITIES, crossed, grown, heading, missed, quantity

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "efficiency.md"
RECORDS = ROOT / "leaderboard" / "records" / "profiles"
BEGIN, END = "<!-- begin: python docs/efficiency.py -->", "<!-- end -->"
SHOWN = ("forward_ms", "train_ms", "decode_ms", "forward_bytes", "state_bytes", "mfu")
ALT = {
    "time": "Milliseconds of a forward pass against length, with O(n), O(n log n) and O(n²)",
    "training": "Milliseconds of forward and backward against length",
    "decode": "Milliseconds of one more token against the tokens before it",
    "memory": "Peak memory of a forward pass against length, with the size of attention's scores",
    "state": "Bytes that decoding carries against length, with the closed forms",
    "roofline": "GFLOP/s against FLOPs a byte, under the measured roof",
}


def groups() -> Sequence[Mapping[str, Any]]:
    """The committed profiles, summarised; raises DataError for one that cannot be read."""
    found = list(record.read_all(RECORDS))
    for one in found:
        if isinstance(one, DataError):
            raise one
    return summarise(one for one in found if isinstance(one, record.Profile))


def section(number: int, group: Mapping[str, Any]) -> Iterator[str]:
    """One group's part of the page."""
    what = "Mixers alone" if group["subject"] == "mixer" else f"Models of `{group['task']}`"
    yield f"### {what}, {group['device']}"
    yield f"```text\n{heading(group)}\n```"
    for name in charts(group):
        yield f"![{ALT[name]}]({stem(number, name)})"
    for field, title, unit in QUANTITIES:
        if field in SHOWN:
            yield f"{title}\n\n```text\n{quantity(group['rows'], field, unit)}\n```"
    for text in (grown(group["rows"]), crossed(group["crossovers"]), missed(group["rows"])):
        if text:
            yield f"```text\n{text}\n```"


def stem(number: int, name: str) -> str:
    """A chart's file, from the page."""
    return f"efficiency-{name}.svg" if number == 0 else f"efficiency-{name}-{number + 1}.svg"


def main() -> int:
    """Write what has changed; with --check say so, and 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    found = groups()
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    made = "\n\n".join(part for i, group in enumerate(found) for part in section(i, group))
    text = f"{before}{BEGIN}\n\n{made or 'No profile is committed yet.'}\n\n{END}{after}"
    files = {PAGE: text.encode()}
    for i, group in enumerate(found):
        for name, spec in charts(group).items():
            files[PAGE.parent / stem(i, name)] = figure(spec)
    stale = [path for path, content in files.items() if not same(path, content)]
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is not what the records say' if check else 'written'}")
        if not check:
            path.write_bytes(files[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
