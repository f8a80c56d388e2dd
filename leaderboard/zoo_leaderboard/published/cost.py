"""Costs as others printed them, with the ratio to their baseline worked out again."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from zoo_leaderboard.published.load import Strict, checked, toml
from zoo_leaderboard.published.printed import read


class Costs(Strict):
    """One quantity of several models over lengths, in the table's own unit."""

    source: str
    where: str
    task: str
    device: str
    batch: int | None = None
    quantity: str
    lengths: tuple[int, ...]
    baseline: str | None = None
    caveat: str = ""
    rows: Mapping[str, str]
    ratios: Mapping[str, str] = {}
    """As printed, at the longest length."""


class Sheet(Strict):
    """The data file."""

    table: tuple[Costs, ...]


@cache
def tables() -> tuple[Costs, ...]:
    """Every table of costs."""
    return checked(Sheet, toml("costs"), "costs").table


def costs() -> list[dict[str, Any]]:
    """One figure a line; ``ratio`` is to the baseline at the same length."""
    return [line for table in tables() for model in table.rows for line in of(table, model)]


def of(table: Costs, model: str) -> list[dict[str, Any]]:
    """The figures of one model."""
    own = [read(text) for text in table.rows[model].split()]
    base = [read(t) for t in table.rows[table.baseline].split()] if table.baseline else []
    printed = read(table.ratios[model]).value if model in table.ratios else None
    lines = []
    for i, (length, figure) in enumerate(zip(table.lengths, own, strict=True)):
        against = base[i].value if base else None
        lines.append(
            {
                "model": model,
                "task": table.task,
                "length": length,
                "quantity": table.quantity,
                "value": figure.value,
                "text": figure.text,
                "ratio": figure.value / against if figure.value and against else None,
                "ratio_printed": printed if length == table.lengths[-1] else None,
                "baseline": table.baseline,
                "device": table.device,
                "batch": table.batch,
                "source": table.source,
                "where": table.where,
                "caveat": table.caveat,
                "flags": list(figure.flags),
            }
        )
    return lines
