"""A suite in one table: the mean over its tasks, for mixers that have all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Literal, NamedTuple

from zoo.identity import digest
from zoo_leaderboard.label import labels
from zoo_leaderboard.read import started
from zoo_leaderboard.row import Row
from zoo_leaderboard.track import SMOKE, Track

State = Literal["ok", "provisional", "failed", "missing", "ambiguous"]


class Cell(NamedTuple):
    """One mixer on one task; ``mean`` is None unless there is exactly one row with a score."""

    state: State
    mean: float | None
    seeds: str
    """`2/3`: two of three ended well."""


class Entry(NamedTuple):
    """One mixer over the suite; no mean when a task is missing, failed or ambiguous."""

    label: str
    cells: tuple[Cell, ...]
    mean: float | None

    @property
    def provisional(self) -> bool:
        """Some task has too few seeds."""
        return any(cell.state == "provisional" for cell in self.cells)


@dataclass(frozen=True)
class Suite:
    """``tracks`` are its tasks, all under one protocol, budget and hardware."""

    name: str
    tracks: tuple[Track, ...]
    outdated: tuple[Track, ...]
    """Tracks of a task that has a newer id."""

    @property
    def title(self) -> str:
        """`lra (zoo): mean of 3 tasks`."""
        count = len(self.tracks)
        key = self.tracks[0].key
        return f"{self.name} ({key.protocol}): mean of {count} task{'s' if count > 1 else ''}"

    @property
    def note(self) -> str:
        """What must be said wherever it is shown."""
        return SMOKE if self.tracks[0].key.budget == "smoke" else ""

    @property
    def comparable(self) -> bool:
        """Whether the tasks share a metric; accuracies and bits have no mean."""
        return len({(track.key.headline, track.higher_is_better) for track in self.tracks}) == 1

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Best mean first, then by name."""
        columns = [by_answer(track.rows) for track in self.tracks]
        known = {answer: rows[0] for column in columns for answer, rows in column.items()}
        names = labels([row.first for row in known.values()])
        entries = [
            self._entry(name, [column.get(answer, []) for column in columns])
            for answer, name in zip(known, names, strict=True)
        ]
        sign = -1 if self.tracks[0].higher_is_better else 1
        return tuple(sorted(entries, key=lambda e: (e.mean is None, sign * (e.mean or 0), e.label)))

    def _entry(self, label: str, columns: Sequence[Sequence[Row]]) -> Entry:
        cells = tuple(cell(rows) for rows in columns)
        means = [one.mean for one in cells if one.mean is not None]
        whole = self.comparable and len(means) == len(cells)
        return Entry(label, cells, fmean(means) if whole else None)


def suites(tracks: Iterable[Track]) -> tuple[Suite, ...]:
    """Every `suite/task` under its suite; of two ids of one task the newer counts."""
    groups: dict[tuple[str, str, str, str, str], dict[str, list[Track]]] = {}
    for track in tracks:
        suite, slash, _ = track.key.task.partition("/")
        if slash:
            key = track.key
            conditions = (suite, key.protocol, key.budget, key.device, key.precision)
            groups.setdefault(conditions, {}).setdefault(key.task, []).append(track)
    found = []
    for conditions, tasks in groups.items():
        by_age = [sorted(same, key=latest, reverse=True) for same in tasks.values()]
        old = tuple(track for same in by_age for track in same[1:])
        found.append(Suite(conditions[0], tuple(same[0] for same in by_age), old))
    return tuple(found)


def latest(track: Track) -> datetime:
    """When its newest run started."""
    return max(started(record) for row in track.rows for record in row.records)


def by_answer(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by mixer and options. The config and the kernel that ran may differ between tasks."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(digest(row.first.mixer.model_dump(exclude={"kernel"})), []).append(row)
    return found


def cell(rows: Sequence[Row]) -> Cell:
    """One task's answer; several rows are several configs, and none may be picked by its score."""
    if not rows:
        return Cell("missing", None, "")
    if len(rows) > 1:
        return Cell("ambiguous", None, f"{len(rows)} rows")
    (row,) = rows
    seeds = f"{len(row.ok)}/{row.planned}"
    if row.summary is None:
        return Cell("failed", None, seeds)
    return Cell("provisional" if row.provisional else "ok", row.summary.mean, seeds)
