"""A track: the rows that may be ranked together, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from zoo.identity import digest
from zoo.record import Metric, Record
from zoo_leaderboard.age import age
from zoo_leaderboard.column import COLUMNS, Column
from zoo_leaderboard.exponent import Exponents
from zoo_leaderboard.pareto import front
from zoo_leaderboard.row import DERIVED, Row

if TYPE_CHECKING:
    from zoo.profile.growth import Growth

BUDGETS = ("paper", "gpu", "cpu", "smoke")
SMOKE = "smoke: not a result"


class TrackKey(NamedTuple):
    """Equal conditions: results that differ in one of these are never ranked together."""

    task: str
    id: str
    protocol: str
    budget: str
    device: str
    precision: str
    headline: str

    @classmethod
    def of(cls, record: Record) -> "TrackKey":
        """Where a record belongs."""
        task, env = record.task, record.env
        where = (env.device, env.precision, record.headline)
        return cls(task.name, task.id, task.protocol, task.budget, *where)

    @property
    def order(self) -> tuple[object, ...]:
        """By task and protocol, the largest budget first."""
        place = BUDGETS.index(self.budget) if self.budget in BUDGETS else len(BUDGETS)
        return (self.task, self.protocol, place, *self)

    @property
    def anchor(self) -> str:
        """A short id for links, the same every time."""
        return f"t{digest(self._asdict())[:10]}"

    @property
    def note(self) -> str:
        """What must be said wherever a row of this track is shown."""
        return SMOKE if self.budget == "smoke" else ""


class Ranked(NamedTuple):
    """A row and its place; None for one without a score."""

    rank: int | None
    row: Row


@dataclass(frozen=True)
class Track:
    """Rows under equal conditions, in no order of their own."""

    key: TrackKey
    rows: tuple[Row, ...]
    exponents: Exponents
    """Of these rows, and maybe of other tracks' too."""

    @cached_property
    def higher_is_better(self) -> bool:
        """The direction of the headline; True while no run has a score."""
        return next((m.higher_is_better for m in self._headlines()), True)

    @cached_property
    def chance(self) -> float | None:
        """What guessing scores, where the task says so."""
        return next((m.chance for m in self._headlines() if m.chance is not None), None)

    @cached_property
    def averages(self) -> dict[str, list[str]]:
        """Named means over the suite that the task belongs to, as its newest record has them."""
        every = (record for row in self.rows for record in (*row.records, *row.rest))
        return max(every, key=age).task.averages

    @cached_property
    def ranking(self) -> tuple[Ranked, ...]:
        """Best first; equal means share a place, rows without a score come last."""
        sign = -1 if self.higher_is_better else 1
        scored = [(sign * row.summary.mean, row.label, row) for row in self.rows if row.summary]
        scored.sort(key=lambda one: one[:2])
        places: dict[float, int] = {}
        for i, (mean, _, _) in enumerate(scored, start=1):
            places.setdefault(mean, i)
        ranked = [Ranked(places[mean], row) for mean, _, row in scored]
        rest = sorted((row for row in self.rows if not row.summary), key=lambda row: row.label)
        return (*ranked, *(Ranked(None, row) for row in rest))

    def length(self, column: Column) -> int | None:
        """The largest length at which every row that measured this measured it."""
        return self._lengths[column.key]

    def cost(self, row: Row, column: Column) -> float | None:
        """One measurement of one row."""
        return self._costs[row][column.key]

    @cached_property
    def _lengths(self) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for column in COLUMNS:
            every = (row.lengths(column.key) for row in self.rows if column.by_length)
            grids = [grid for grid in every if grid]
            common = set.intersection(*grids) if grids else set()
            found[column.key] = max(common, default=None)
        return found

    @property
    def growth(self) -> "dict[Row, Growth]":
        """How the forward pass grows with the length, of the rows that tell."""
        return self.exponents.fits

    @cached_property
    def _costs(self) -> dict[Row, dict[str, float | None]]:
        taken = [column for column in COLUMNS if column.key not in DERIVED]
        return {
            row: {
                **{c.key: row.cost(c.key, self._lengths[c.key]) for c in taken},
                "time_exponent": self.growth[row].exponent if row in self.growth else None,
                "lr_window": row.lr_window,
            }
            for row in self.rows
        }

    def learned(self, row: Row) -> bool | None:
        """Whether the row beats chance beyond its interval; None when that cannot be said."""
        if row.summary is None or self.chance is None:
            return None
        sign = 1 if self.higher_is_better else -1
        if sign * (row.summary.mean - self.chance) <= 0:
            return False
        if row.summary.interval is None:
            return None
        worst = row.summary.interval[0 if self.higher_is_better else 1]
        return sign * (worst - self.chance) > 0

    @cached_property
    def curve_lengths(self) -> tuple[int, ...]:
        """Every length at which a row was tested; fewer than two make no curve."""
        lengths = sorted({length for row in self.rows for length in row.curve})
        return tuple(lengths) if len(lengths) > 1 else ()

    @cached_property
    def trained_to(self) -> int | None:
        """The longest length of the curve that training showed, where the task says so."""
        told = (record.task.trained_to for row in self.rows for record in row.ok)
        return next((length for length in told if length is not None), None)

    def front(self, column: Column) -> list[Row]:
        """Rows that no other beats on quality and this cost; rows without either are not on it."""
        quality, thrift = (1 if self.higher_is_better else -1), (-1 if column.less else 1)
        rows = [
            (row, (thrift * cost, quality * row.summary.mean))
            for row in self.rows
            if row.summary and (cost := self.cost(row, column)) is not None
        ]
        return [rows[i][0] for i in front([point for _, point in rows])]

    @cached_property
    def fronts(self) -> dict[str, frozenset[Row]]:
        """The front of every column of cost."""
        return {column.key: frozenset(self.front(column)) for column in COLUMNS}

    def _headlines(self) -> Iterator[Metric]:
        for row in self.rows:
            for record in row.ok:
                yield record.metrics[record.headline]
