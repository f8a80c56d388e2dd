"""A row: one mixer with its options under one track, over all its seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from statistics import median
from typing import NamedTuple

from zoo.record import Record
from zoo_leaderboard.measured import headline, measured
from zoo_leaderboard.statistics import ENOUGH, Summary, summarise
from zoo_leaderboard.sweep import Rate, rate, window

DERIVED = frozenset({"time_exponent", "lr_window"})
"""Figures of cost that no single record has."""


class At(NamedTuple):
    """One step of training over the seeds: their mean, the least and the most."""

    step: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)  # itself and no other: comparing records would be slow
class Row:
    """``records`` holds one record per seed, failed ones too, all at one learning rate."""

    label: str
    records: tuple[Record, ...]
    rates: tuple[Rate, ...] = ()
    """The sweep that this rate was chosen from, by rate; empty where only one was run."""
    rest: tuple[Record, ...] = ()
    """The records of the other rates."""

    @property
    def first(self) -> Record:
        """What the seeds share can be read off any of them."""
        return self.ok[0] if self.ok else self.records[0]

    @cached_property
    def ok(self) -> tuple[Record, ...]:
        """The seeds that ended with a score."""
        return tuple(record for record in self.records if headline(record) is not None)

    @property
    def planned(self) -> int:
        """Seeds that were started, however they ended."""
        return len(self.records)

    @property
    def provisional(self) -> bool:
        """Too few seeds to rely on."""
        return len(self.ok) < ENOUGH

    @property
    def lr(self) -> float | None:
        """The learning rate that is shown: the only one, or the chosen one."""
        return rate(self.first.config)

    @property
    def lr_window(self) -> float | None:
        """Decades of learning rate that are about as good as the chosen one."""
        return window(self.rates)

    @cached_property
    def values(self) -> dict[int, float]:
        """The headline by seed, of those that ended well."""
        return {r.seed: value for r in self.records if (value := headline(r)) is not None}

    @cached_property
    def summary(self) -> Summary | None:
        """Mean and interval of the headline metric; None when no seed ended well."""
        return summarise(list(self.values.values()), self.first.headline)

    @property
    def outcome(self) -> str:
        """How the seeds ended, where none has a score: `diverged`, or `no score`."""
        ends = {"no score" if record.status == "ok" else record.status for record in self.records}
        return ", ".join(sorted(ends))

    @cached_property
    def curve(self) -> dict[int, Summary]:
        """Mean and interval of the headline at every length that all seeds were tested at."""
        grids = [set(record.curve) for record in self.ok]
        common = set.intersection(*grids) if grids else set()
        found = {
            length: summarise([record.curve[length] for record in self.ok], self.first.headline)
            for length in sorted(common)
        }
        return {length: one for length, one in found.items() if one}

    def losses(self, points: int) -> list[At]:
        """The training loss over the steps that all seeds have; of failed runs where none is ok."""
        return over_steps([record.losses for record in self.ok or self.records], points)

    def validated(self, points: int) -> list[At]:
        """The headline on the validation split, in the same way."""
        return over_steps([record.validated for record in self.ok or self.records], points)

    @cached_property
    def forward_ms(self) -> dict[int, float]:
        """The forward pass by length: the median over the seeds that measured it."""
        times: dict[int, list[float]] = {}
        for record in self.ok or self.records:
            for length, spread in record.efficiency.forward_ms.items():
                times.setdefault(length, []).append(spread.median)
        return {length: median(times[length]) for length in sorted(times)}

    def cost(self, name: str, length: int | None) -> float | None:
        """The median over the seeds of one measurement, at ``length`` where it depends on it."""
        values = [measured(record, name, length) for record in self.ok or self.records]
        known = [value for value in values if value is not None]
        return median(known) if known else None

    def lengths(self, name: str) -> set[int]:
        """Lengths at which every seed that measured ``name`` measured it."""
        grids = [set(getattr(record.efficiency, name)) for record in self.ok or self.records]
        return set.intersection(*known) if (known := [grid for grid in grids if grid]) else set()


def over_steps(courses: Sequence[Mapping[int, float]], points: int) -> list[At]:
    """Mean, least and most at steps that all courses have, in at most about ``points`` of them.

    A course without any step (of an older record) has no say.
    """
    known = [course for course in courses if course]
    if not known:
        return []
    common = list(known[0])
    if any(list(course) != common for course in known[1:]) or common != sorted(common):
        common = sorted(set(common).intersection(*known[1:]))
    every = -(-len(common) // points)
    kept = common if every < 2 else [*common[:-1:every], common[-1]]
    values = zip(*([course[step] for step in kept] for course in known), strict=True)
    found = [
        At(step, sum(seeds) / len(seeds), min(seeds), max(seeds))
        for step, seeds in zip(kept, values, strict=True)
    ]
    return [at for at in found if isfinite(at.mean)]
