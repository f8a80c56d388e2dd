"""A row: one mixer with its options under one track, over all its seeds."""

from dataclasses import dataclass
from functools import cached_property
from statistics import median

from zoo.record import Record
from zoo_leaderboard.statistics import ENOUGH, Summary, summarise


@dataclass(frozen=True, eq=False)  # itself and no other: comparing records would be slow
class Row:
    """``records`` holds one record per seed, failed ones too."""

    label: str
    records: tuple[Record, ...]

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

    @cached_property
    def summary(self) -> Summary | None:
        """Mean and interval of the headline metric; None when no seed ended well."""
        values = [value for record in self.ok if (value := headline(record)) is not None]
        return summarise(values, self.first.headline)

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

    def cost(self, name: str, length: int | None) -> float | None:
        """The median over the seeds of one measurement, at ``length`` where it depends on it."""
        values = [measured(record, name, length) for record in self.ok or self.records]
        known = [value for value in values if value is not None]
        return median(known) if known else None

    def lengths(self, name: str) -> set[int]:
        """Lengths at which every seed that measured ``name`` measured it."""
        grids = [set(getattr(record.efficiency, name)) for record in self.ok or self.records]
        return set.intersection(*known) if (known := [grid for grid in grids if grid]) else set()


def headline(record: Record) -> float | None:
    """The score that counts, of a run that ended well."""
    metric = record.metrics.get(record.headline)
    return metric.value if metric and record.status == "ok" else None


def measured(record: Record, name: str, length: int | None) -> float | None:
    """One measurement of one run; None when it was not taken."""
    cost = record.efficiency
    value: float | None
    if name == "flops_per_token":
        flops = cost.flops_per_token
        # A counter that skipped operators would flatter the mixer.
        value = flops.closed_form
        if value is None and not flops.uncounted:
            value = flops.counted
    elif name == "forward_ms":
        at = cost.forward_ms.get(length) if length is not None else None
        value = at.median if at else None
    elif name == "state_bytes":
        value = cost.state_bytes.get(length) if length is not None else None
    else:
        value = getattr(cost, name)
    try:
        return None if value is None else float(value)
    except OverflowError:  # an integer of 400 digits is no measurement
        return None
