"""Averages worked out from their rows, beside those that are printed: misprints get caught."""

from collections.abc import Iterator
from math import fsum
from typing import Any

from zoo_leaderboard.published.load import Also, Entry, Table, numbers, tables
from zoo_leaderboard.published.printed import Printed, read

FIVE = ("lra/listops", "lra/text", "lra/retrieval", "lra/image", "lra/pathfinder")
MAD = (
    "mad/compression",
    "mad/fuzzy_recall",
    "mad/recall",
    "mad/memorization",
    "mad/noisy_recall",
    "mad/selective_copy",
)
OVER = {"Avg5": FIVE, "Avg6": (*FIVE, "lra/pathx"), "MAD": MAD}
"""The tasks that an average is over; Avg5 leaves Path-X out."""
FAILED = {("Avg6", "lra/pathx"): 0.5}
"""What a failed run counts as, where the average says so: Path-X at chance."""


def averages() -> list[dict[str, Any]]:
    """Every printed average, and every one that the rows allow and nobody printed."""
    return [one for table in tables() for entry in table.rows for one in of(table, entry)]


def of(table: Table, entry: Entry) -> Iterator[dict[str, Any]]:
    """The averages of one row."""
    cells = dict(numbers(table, entry))
    texts = entry.means.split() or ["–"] * len(table.averages)  # noqa: RUF001
    for name, text in zip(table.averages, texts, strict=True):
        value, half, absent = recomputed(name, cells)
        printed = read(text, table.unit)
        if printed.value is None and value is None:
            continue
        yield line(entry, table.source, name, printed, (value, half, absent), table.average_note)
    for one in entry.also:
        result = recomputed(one.name, cells)
        yield line(entry, one.source, one.name, read(one.text, table.unit), result, "", one)


def recomputed(name: str, cells: dict[str, Printed]) -> tuple[float | None, float, list[str]]:
    """The mean, what rounding of its parts may move it by, and the tasks that are missing."""
    values, halves, absent = [], [], []
    for task in OVER[name]:
        cell = cells.get(task)
        value = cell.value if cell else None
        if value is None and cell is not None and cell.text == "FAIL":
            value = FAILED.get((name, task))
        if value is None:
            absent.append(task)
        else:
            values.append(value)
            halves.append(cell.half if cell else 0.0)
    if absent:
        return None, 0.0, absent
    return fsum(values) / len(values), fsum(halves) / len(halves), []


def line(
    entry: Entry,
    source: str,
    name: str,
    printed: Printed,
    result: tuple[float | None, float, list[str]],
    note: str,
    also: Also | None = None,
) -> dict[str, Any]:
    """One average as the document has it."""
    value, half, absent = result
    flags = also.flags if also else ()
    other = differs(printed, value, half)
    wrong = other and "unreliable" not in flags  # that is no slip, but another claim
    moved = any("transplant" in given for given in entry.flags.values())
    notes = [note] if note and printed.value is not None else []
    if other and value is not None:
        said = "the printed average is wrong" if wrong else "unreliable: no run is told behind it"
        notes.insert(0, f"the scores of this row give {value:.4f}; {said}")
    if absent and printed.value is not None:
        notes.insert(0, f"cannot be worked out: no score for {', '.join(absent)}")
    return {
        "model": entry.model,
        "mixer": entry.mixer,
        "source": source,
        "name": name,
        "printed": printed.value,
        "text": printed.text,
        "recomputed": value,
        "misprint": wrong,
        "invalid": bool(absent) and moved and printed.value is not None,
        "flags": list(flags) + ["misprint"] * wrong,
        "note": "; ".join(notes),
    }


def differs(printed: Printed, value: float | None, half: float) -> bool:
    """Whether rounding alone, of the average and of its parts, cannot explain the difference."""
    if printed.value is None or value is None:
        return False
    return abs(printed.value - value) > printed.half + half + 1e-12
