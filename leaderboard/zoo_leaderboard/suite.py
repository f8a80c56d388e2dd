"""A suite in one table: means over its tasks, for mixers that have all that a mean is over."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import isfinite
from typing import Literal, NamedTuple

from zoo.identity import digest
from zoo_leaderboard.age import started
from zoo_leaderboard.label import labels
from zoo_leaderboard.row import Row
from zoo_leaderboard.statistics import average
from zoo_leaderboard.track import SMOKE, Track

State = Literal["ok", "provisional", "failed", "missing", "ambiguous"]


class Cell(NamedTuple):
    """One mixer on one task; ``mean`` is None unless there is exactly one row with a score."""

    state: State
    mean: float | None
    seeds: str
    """`2/3`: two of three ended well."""
    rank: float | None = None
    """Among the mixers that have every task; those that tie share the middle of their places."""


class Entry(NamedTuple):
    """One mixer over the suite."""

    label: str
    cells: tuple[Cell, ...]
    means: dict[str, float | None]
    """By name; None when a task of it is missing, failed or ambiguous."""
    rank_mean: float | None = None
    """The mean of its ranks; None unless it has every task that is ranked."""

    @property
    def provisional(self) -> bool:
        """Some task has too few seeds."""
        return any(cell.state == "provisional" for cell in self.cells)


@dataclass(frozen=True)
class Suite:
    """``tracks`` are its tasks with records, all under one protocol, budget and hardware."""

    name: str
    tracks: tuple[Track, ...]
    outdated: tuple[Track, ...]
    """Tracks of a task that has a newer id."""

    @cached_property
    def averages(self) -> dict[str, tuple[str, ...]]:
        """Means and the tasks they are over: those that have a name, or one over all there are."""
        named: dict[str, tuple[str, ...]] = {}
        for track in self.tracks:
            for name, tasks in track.averages.items():
                named[name] = tuple(dict.fromkeys((*named.get(name, ()), *tasks)))
        return named or {"mean": tuple(track.key.task for track in self.tracks)}

    @cached_property
    def columns(self) -> dict[str, Track | None]:
        """Every task by name, those that a mean is over first; None: no record of it here."""
        here = {track.key.task: track for track in self.tracks}
        wanted = dict.fromkeys(task for tasks in self.averages.values() for task in tasks)
        return {task: here.get(task) for task in (*wanted, *(here.keys() - wanted.keys()))}

    @property
    def title(self) -> str:
        """`lra (zoo): Avg5, Avg6`, or `lra (zoo): mean of 3 tasks`."""
        count = len(self.tracks)
        means = ", ".join(self.averages)
        if means == "mean":
            means = f"mean of {count} task{'s' if count > 1 else ''}"
        return f"{self.name} ({self.tracks[0].key.protocol}): {means}"

    @property
    def note(self) -> str:
        """What must be said wherever it is shown."""
        return SMOKE if self.tracks[0].key.budget == "smoke" else ""

    @property
    def comparable(self) -> bool:
        """Whether the tasks share a metric; accuracies and bits have no mean."""
        return len({(track.key.headline, track.higher_is_better) for track in self.tracks}) == 1

    @cached_property
    def rank_tasks(self) -> tuple[str, ...]:
        """What the rank mean is over: tasks that a mean is over and that have records here."""
        wanted = dict.fromkeys(task for tasks in self.averages.values() for task in tasks)
        return tuple(task for task in wanted if self.columns[task] is not None)

    @property
    def ranked(self) -> bool:
        """Whether a rank mean says more than the one task that it would be over."""
        return len(self.rank_tasks) > 1 and any(e.rank_mean is not None for e in self.entries)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Best first mean first, then best rank mean, then by name."""
        columns = {
            task: by_answer(track.rows) if track else {} for task, track in self.columns.items()
        }
        known = {
            answer: rows[0] for rows_of in columns.values() for answer, rows in rows_of.items()
        }
        answers = known.values()
        names = labels([row.first for row in answers], [bool(row.rates) for row in answers])
        plain = [
            self._entry(name, {task: column.get(answer, []) for task, column in columns.items()})
            for answer, name in zip(known, names, strict=True)
        ]
        entries = self._ranked(plain)
        sign = -1 if self.tracks[0].higher_is_better else 1

        def place(entry: Entry) -> tuple[object, ...]:
            first, ranks = next(iter(entry.means.values())), entry.rank_mean
            return (first is None, sign * (first or 0), ranks is None, ranks or 0, entry.label)

        return tuple(sorted(entries, key=place))

    def _ranked(self, entries: Sequence[Entry]) -> list[Entry]:
        """With ranks for the mixers that have all tasks; a missing one is never averaged over."""
        names = list(self.columns)
        places = [names.index(task) for task in self.rank_tasks]
        whole = [e for e in entries if all(e.cells[at].mean is not None for at in places)]
        if not places or not whole:
            return list(entries)
        ranks: dict[str, dict[int, float]] = {entry.label: {} for entry in whole}
        for at in places:
            track = self.columns[names[at]]
            sign = -1 if track and track.higher_is_better else 1
            scores = [sign * (entry.cells[at].mean or 0.0) for entry in whole]
            for entry, rank in zip(whole, middle_ranks(scores), strict=True):
                ranks[entry.label][at] = rank
        return [with_ranks(entry, ranks.get(entry.label, {})) for entry in entries]

    def _entry(self, label: str, answers: Mapping[str, Sequence[Row]]) -> Entry:
        cells = {task: cell(rows) for task, rows in answers.items()}
        means = {name: self._mean(cells, tasks) for name, tasks in self.averages.items()}
        return Entry(label, tuple(cells.values()), means)

    def _mean(self, cells: Mapping[str, Cell], tasks: Sequence[str]) -> float | None:
        """Never over what is missing."""
        values = [value for task in tasks if (value := cells[task].mean) is not None]
        whole = self.comparable and values and len(values) == len(tasks)
        return found if whole and isfinite(found := average(values)) else None


def middle_ranks(scores: Sequence[float]) -> list[float]:
    """Places from 1, the least score first; equal scores share the middle of their places."""
    places: dict[float, list[int]] = {}
    for place, score in enumerate(sorted(scores), start=1):
        places.setdefault(score, []).append(place)
    return [average(places[score]) for score in scores]


def with_ranks(entry: Entry, ranks: Mapping[int, float]) -> Entry:
    """The entry with a rank in the cells that have one, and their mean."""
    if not ranks:
        return entry
    cells = tuple(cell._replace(rank=ranks.get(i)) for i, cell in enumerate(entry.cells))
    return entry._replace(cells=cells, rank_mean=average([*ranks.values()]))


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
    return max(started(r) for row in track.rows for r in (*row.records, *row.rest))


def by_answer(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by mixer and options. The config and the kernel that ran may differ between tasks, and
    so may the options that the tasks' protocol set.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        mixer = row.first.mixer
        own = {key: v for key, v in mixer.options.items() if key not in mixer.prescribed}
        found.setdefault(digest({"name": mixer.name, "options": own}), []).append(row)
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
