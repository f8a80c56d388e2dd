"""One row against others, track by track: what differs, how surely, and at what cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import ZooError, nearest
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.row import Row
from zoo_leaderboard.statistics import Comparison, compare, holm
from zoo_leaderboard.track import Track


@dataclass(frozen=True)
class Against:
    """One row against the baseline; the difference is the row's mean minus the baseline's."""

    row: Row
    comparison: Comparison
    holm: float | None
    """p, corrected for all the comparisons of this track."""
    ratios: Mapping[str, float]
    """Each cost of the row over the baseline's, where both were measured."""


@dataclass(frozen=True)
class Contest:
    """All that was asked for under one track."""

    track: Track
    baseline: Row
    others: tuple[Against, ...]
    absent: tuple[str, ...]
    """Names that were asked for and have no row here."""


def contests(tracks: Sequence[Track], names: Sequence[str], task: str | None) -> list[Contest]:
    """Every track that has the first of ``names`` and another of them, in the board's order.

    Raises ZooError for fewer than two names, for a name or task that is unknown, for one that means
    several rows, and where no track has the baseline and another.
    """
    if len(set(names)) < 2:
        raise ZooError(
            "a comparison takes two names or more, the baseline first; type `zoo compare "
            "attention mamba`"
        )
    within = [track for track in tracks if task is None or track.key.task == task]
    if not within:
        raise ZooError(
            f"no record of task {task!r}; {nearest(task or '', {t.key.task for t in tracks})}"
        )
    for name in names:
        if not any(matches(track, name) for track in within):
            known = {known for track in within for known in callable_names(track)}
            raise ZooError(f"no row is called {name!r}; {nearest(name, known)}")
    found = []
    for track in within:
        rows = {name: row for name in names if (row := only(track, name)) is not None}
        if names[0] in rows and len(rows) > 1:
            absent = tuple(name for name in names if name not in rows)
            found.append(contest(track, list(dict.fromkeys(rows.values())), absent))
    found = [one for one in found if one.others]
    if not found:
        where = "; ".join(f"{name!r} in {places(within, name)}" for name in dict.fromkeys(names))
        raise ZooError(
            f"no track has both {names[0]!r} and another: {where}. Rows are compared under one "
            "task, protocol, budget and device only"
        )
    return found


def contest(track: Track, rows: Sequence[Row], absent: tuple[str, ...]) -> Contest:
    """The rows against the first of them."""
    baseline, *others = rows
    found = [compare(row.values, baseline.values) for row in others]
    adjusted = holm([one.p for one in found])
    against = tuple(
        Against(row, one, p, ratios(track, row, baseline))
        for row, one, p in zip(others, found, adjusted, strict=True)
    )
    return Contest(track, baseline, against, absent)


def ratios(track: Track, row: Row, baseline: Row) -> dict[str, float]:
    """Costs of one row over another's; what either has not measured has no ratio."""
    found = {}
    for column in COLUMNS:
        cost, base = track.cost(row, column), track.cost(baseline, column)
        if cost is not None and base:
            found[column.key] = cost / base
    return found


def matches(track: Track, name: str) -> list[Row]:
    """The row with this label, or else all rows of the mixer with this name."""
    labelled = [row for row in track.rows if row.label == name]
    return labelled or [row for row in track.rows if row.first.mixer.name == name]


def only(track: Track, name: str) -> Row | None:
    """The one row that the name means here; raises ZooError where it means several."""
    rows = matches(track, name)
    if len(rows) > 1:
        labels = ", ".join(repr(label) for label in sorted(row.label for row in rows))
        raise ZooError(
            f"{name!r} is {len(rows)} rows of {track.key.task} (budget {track.key.budget}): name "
            f"one of {labels}, or another task with --task"
        )
    return rows[0] if rows else None


def callable_names(track: Track) -> Iterable[str]:
    """What a row may be called by."""
    for row in track.rows:
        yield from (row.label, row.first.mixer.name)


def places(tracks: Iterable[Track], name: str) -> str:
    """The tracks that have it, in words."""
    found = [
        f"{key.task} ({key.protocol}, {key.budget}, {key.device}, {key.precision})"
        for track in tracks
        if matches(track, name)
        for key in [track.key]
    ]
    return " and ".join(found)


def verdict(track: Track, one: Against) -> str:
    """What may be said: `better`, `worse`, `undecided`, or why nothing can be."""
    comparison = one.comparison
    if one.holm is None or comparison.difference is None:
        few = min(comparison.n_a, comparison.n_b) < 2
        return "too few seeds" if few else "no spread"
    if one.holm >= 0.05:
        return "undecided"
    return "better" if (comparison.difference > 0) == track.higher_is_better else "worse"


def contest_part(one: Contest) -> dict[str, Any]:
    """As JSON."""
    key = one.track.key
    return {
        "track": key.anchor,
        **key._asdict(),
        "note": key.note,
        "higher_is_better": one.track.higher_is_better,
        "baseline": side(one.track, one.baseline),
        "others": [
            {
                **side(one.track, against.row),
                "difference": against.comparison.difference,
                "difference_low": against.comparison.low,
                "difference_high": against.comparison.high,
                "test": against.comparison.test,
                "freedom": against.comparison.freedom,
                "p": against.comparison.p,
                "p_holm": against.holm,
                "verdict": verdict(one.track, against),
                "ratios": dict(against.ratios),
            }
            for against in one.others
        ],
        "absent": list(one.absent),
    }


def side(track: Track, row: Row) -> dict[str, Any]:
    """One row's own figures."""
    low, high = row.summary.interval or (None, None) if row.summary else (None, None)
    return {
        "label": row.label,
        "mean": row.summary.mean if row.summary else None,
        "low": low,
        "high": high,
        "values": {str(seed): value for seed, value in row.values.items()},
        "seeds_ok": len(row.ok),
        "seeds_planned": row.planned,
        "costs": {column.key: track.cost(row, column) for column in COLUMNS},
    }
