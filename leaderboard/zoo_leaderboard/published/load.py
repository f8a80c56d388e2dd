"""The data files, checked and made whole: one score a row, each with its source and protocol."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from zoo.errors import ZooError
from zoo_leaderboard.published.printed import Printed, Unit, read

Kind = TypeVar("Kind", bound=BaseModel)
FILES = ("lra", "synthetic")


class Strict(BaseModel):
    """A key that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Strict):
    """A paper, or a repository's page where there is none."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    url: str | None = None


class Also(Strict):
    """The same average as another source prints it."""

    source: str
    name: str
    text: str
    flags: tuple[str, ...] = ()


class Entry(Strict):
    """One model in a table: its numbers in the order of the table's tasks, as printed."""

    model: str
    mixer: str | None = None
    """The zoo's mixer, where it is the same model."""
    family: str
    scores: str
    means: str = ""
    params: str = ""
    caveat: str = ""
    all_flags: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, ...]] = {}
    caveats: Mapping[str, str] = {}
    also: tuple[Also, ...] = ()


class Table(Strict):
    """What the rows of a table share."""

    source: str
    where: str
    protocol: str
    unit: Unit
    metric: str = "accuracy"
    tasks: tuple[str, ...]
    seeds: int | None = None
    spread: Literal["none", "sd", "se", "unstated"] = "none"
    averages: tuple[str, ...] = ()
    average_note: str = ""
    caveat: str = ""
    rows: tuple[Entry, ...]


class Curve(Strict):
    """Scores by length, as printed."""

    source: str
    where: str
    protocol: str
    task: str
    trained_to: int
    unit: Unit
    lengths: tuple[int, ...]
    rows: tuple[Entry, ...]


class Sheet(Strict):
    """A data file."""

    table: tuple[Table, ...] = ()
    curve: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Score:
    """One published number. ``value`` is a fraction where the paper prints per cent."""

    id: str
    model: str
    mixer: str | None
    family: str
    task: str
    metric: str
    value: float | None
    spread: float | None
    spread_kind: str | None
    """What the spread is: sd, se, or unstated."""
    seeds: int | None
    text: str
    reason: str
    """Why there is no value."""
    protocol: str
    budget: str
    source: str
    where: str
    caveat: str
    flags: tuple[str, ...]


@cache
def sources() -> dict[str, Source]:
    """By id; raises ZooError for a file that is not as it should be."""
    return {key: checked(Source, one, f"source {key}") for key, one in toml("sources").items()}


@cache
def sheets() -> tuple[Sheet, ...]:
    """Every file of scores."""
    return tuple(checked(Sheet, toml(name), name) for name in FILES)


def tables() -> list[Table]:
    """Every table of scores."""
    return [table for sheet in sheets() for table in sheet.table]


@cache
def scores() -> tuple[Score, ...]:
    """Every number of every table."""
    return tuple(
        score(table, entry, task, printed)
        for table in tables()
        for entry in table.rows
        for task, printed in numbers(table, entry)
    )


def numbers(table: Table, entry: Entry) -> list[tuple[str, Printed]]:
    """The task and the number of every column."""
    return list(zip(table.tasks, split(entry.scores, table.unit, table, entry), strict=True))


def split(text: str, unit: Unit, table: Table | Curve, entry: Entry) -> list[Printed]:
    """The numbers of one line; raises ZooError that names table and model."""
    try:
        return [read(one, unit) for one in text.split()]
    except ValueError as error:
        raise ZooError(f"published {table.source}, {entry.model}: {error}") from error


def score(table: Table, entry: Entry, task: str, printed: Printed) -> Score:
    """One cell of a table."""
    caveats = (table.caveat, entry.caveat, entry.caveats.get(task, ""))
    flags = (*entry.all_flags, *entry.flags.get(task, ()), *printed.flags)
    metric = "" if table.metric == "accuracy" else f"/{table.metric}"
    return Score(
        id=f"{table.source}/{slug(entry.model)}/{task}{metric}",
        model=entry.model,
        mixer=entry.mixer,
        family=entry.family,
        task=task,
        metric=table.metric,
        value=printed.value,
        spread=printed.spread,
        spread_kind=None if printed.spread is None else table.spread,
        seeds=table.seeds,
        text=printed.text,
        reason=printed.reason,
        protocol=table.protocol,
        budget="paper",
        source=table.source,
        where=table.where,
        caveat="; ".join(filter(None, caveats)),
        flags=flags,
    )


def curves() -> list[dict[str, Any]]:
    """Scores by length, one curve a model; a value that is missing says why."""
    return [
        {
            "model": entry.model,
            "mixer": entry.mixer,
            "family": entry.family,
            "params": entry.params,
            "task": curve.task,
            "trained_to": curve.trained_to,
            "protocol": curve.protocol,
            "source": curve.source,
            "where": curve.where,
            "caveat": entry.caveat,
            "points": [
                {"length": length, "value": one.value, "text": one.text, "reason": one.reason}
                for length, one in zip(
                    curve.lengths, split(entry.scores, curve.unit, curve, entry), strict=True
                )
            ],
        }
        for sheet in sheets()
        for curve in sheet.curve
        for entry in curve.rows
    ]


def slug(text: str) -> str:
    """A name as a part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.replace("−", "minus").lower()).strip("-")  # noqa: RUF001


def toml(name: str) -> dict[str, Any]:
    """One of the files beside this one."""
    place = files("zoo_leaderboard.published") / "data" / f"{name}.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))


def checked(kind: type[Kind], content: Any, name: str) -> Kind:
    """Raises ZooError that says which file is wrong, and where."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ZooError(f"published {name}: {where}: {first['msg']}") from error
