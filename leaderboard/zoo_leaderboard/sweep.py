"""Learning rates: rows that differ in nothing else are one row, its rate chosen on validation."""

from collections.abc import Mapping, Sequence
from math import isfinite, log10
from typing import Any, NamedTuple

from zoo.record import Record
from zoo_leaderboard.measured import headline, metric_of
from zoo_leaderboard.statistics import average

CLOSE = 0.05
"""A rate is good within this share of the best validation score."""
FEWEST = 3
"""Rates that a window needs."""


class Rate(NamedTuple):
    """One learning rate: what it scored on validation, by which it is chosen, and on test."""

    lr: float
    valid: float | None
    """Mean over the seeds that all rates share which could be chosen; over its own if none is."""
    mean: float | None
    """The headline on the test split; shown, never chosen by."""
    seeds_ok: int
    seeds_planned: int
    chosen: bool
    good: bool


class Part(NamedTuple):
    """The records that a row shows, the sweep they were chosen from and the sweep's others."""

    shown: tuple[Record, ...]
    rates: tuple[Rate, ...] = ()
    rest: tuple[Record, ...] = ()


def rate(config: Mapping[str, Any]) -> float | None:
    """The learning rate, where the config has one that can be swept: a positive number."""
    value = config.get("lr")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) and found > 0 else None


def without_rate(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config less a learning rate that can be swept."""
    return dict(config) if rate(config) is None else {k: v for k, v in config.items() if k != "lr"}


def merged(groups: Sequence[tuple[Record, ...]]) -> list[Part]:
    """One part that shows the chosen rate, or one a rate where nothing was validated to choose by.

    ``groups`` are the records of every rate, one per seed. Never chosen on test: a sweep whose
    rates have no validation score stays apart. Chosen over the seeds that all have: whoever tries
    rates with one seed and runs the best with more must not lose it to another's lucky seed.
    """
    if len(groups) < 2:
        return [Part(group) for group in groups]
    ordered = sorted(groups, key=lambda group: rate(group[0].config) or 0.0)
    scores = [validated(group) for group in ordered]
    failed = [any(headline(record) is None for record in group) for group in ordered]
    able = [i for i, one in enumerate(scores) if one and not failed[i]]
    able = able or [i for i, one in enumerate(scores) if one]
    shared = set.intersection(*(set(scores[i]) for i in able)) if able else set()
    valid = [mean([one[seed] for seed in shared & one.keys() or one]) for one in scores]
    known = {i: value for i in able if (value := valid[i]) is not None}
    if not known:
        return [Part(group) for group in ordered]
    metric = next(m for g in ordered for r in g if (m := metric_of(r)) is not None)
    sign = 1 if metric.higher_is_better else -1
    best = max(known, key=lambda i: sign * known[i])  # of equals the smallest rate
    chance = next((m.chance for g in ordered for r in g if (m := metric_of(r))), None)
    rates = tuple(
        Rate(
            lr=rate(group[0].config) or 0.0,
            valid=valid[i],
            mean=mean([v for record in group if (v := headline(record)) is not None]),
            seeds_ok=sum(headline(record) is not None for record in group),
            seeds_planned=len(group),
            chosen=i == best,
            good=i in known and near(known[i], known[best], sign, chance),
        )
        for i, group in enumerate(ordered)
    )
    rest = tuple(record for i, group in enumerate(ordered) if i != best for record in group)
    return [Part(ordered[best], rates, rest)]


def near(value: float, best: float, sign: int, chance: float | None) -> bool:
    """Within 5 % of the best: of what it has above chance, where more is better and chance known.

    Where the best rate learnt nothing, none is good.
    """
    base = chance if chance is not None and sign > 0 else 0.0
    if chance is not None and sign * (best - chance) <= 0:
        return False
    return sign * (best - value) <= CLOSE * abs(best - base) * (1 + 1e-9)


def window(rates: Sequence[Rate]) -> float | None:
    """Decades from the smallest to the largest good rate around the chosen one, without a gap."""
    chosen = next((i for i, one in enumerate(rates) if one.chosen), None)
    if len(rates) < FEWEST or chosen is None or not rates[chosen].good:
        return None
    low = high = chosen
    while low > 0 and rates[low - 1].good:
        low -= 1
    while high + 1 < len(rates) and rates[high + 1].good:
        high += 1
    return log10(rates[high].lr) - log10(rates[low].lr)  # their ratio may be beyond floats


def validated(records: Sequence[Record]) -> dict[int, float]:
    """The validation score by seed, of those that ended well."""
    return {
        record.seed: metric.value
        for record in records
        if headline(record) is not None
        and (metric := record.metrics.get(f"valid_{record.headline}"))
        and metric.value is not None
    }


def mean(scores: Sequence[float]) -> float | None:
    """The mean, where there is one."""
    return found if scores and isfinite(found := average(scores)) else None
