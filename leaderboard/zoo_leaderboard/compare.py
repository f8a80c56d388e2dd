"""One row against others, track by track: what differs, how surely, and at what cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from zoo.errors import ZooError, nearest
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.row import DERIVED, Row
from zoo_leaderboard.statistics import Comparison, compare, holm
from zoo_leaderboard.track import Track

LISTED = 8
"""Labels or tracks that an error lists; of hundreds nobody reads more."""


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


def contests(
    tracks: Sequence[Track], names: Sequence[str], task: str | None
) -> tuple[list[Contest], list[str]]:
    """Every track that has the first of ``names`` and another of them, in the board's order; and
    what was left out since a name means several rows there.

    Raises ZooError for fewer than two names, for a name or task that is unknown, and where no track
    has the baseline and another.
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
    found, unclear = [], []
    for track in within:
        meant = {name: rows for name in names if (rows := matches(track, name))}
        if len(meant) > 1 and names[0] in meant:
            unclear += [several(track, name, rows) for name, rows in meant.items() if rows[1:]]
        rows = list(dict.fromkeys(of[0] for of in meant.values() if not of[1:]))
        if len(meant.get(names[0], ())) == 1 and len(rows) > 1:
            absent = tuple(name for name in names if name not in meant)
            found.append(contest(track, rows, absent))
    if not found:
        raise ZooError("; ".join(unclear) or apart(within, names))
    return found, unclear


def contest(track: Track, rows: Sequence[Row], absent: tuple[str, ...]) -> Contest:
    """The rows against the first of them."""
    baseline, *others = rows
    metric = track.key.headline
    found = [compare(row.values, baseline.values, metric) for row in others]
    adjusted = holm([one.p for one in found])
    against = tuple(
        Against(row, one, p, ratios(track, row, baseline))
        for row, one, p in zip(others, found, adjusted, strict=True)
    )
    return Contest(track, baseline, against, absent)


def ratios(track: Track, row: Row, baseline: Row) -> dict[str, float]:
    """Costs of one row over another's; what either has not measured has no ratio.

    Nor have exponents and decades: they are logarithms already.
    """
    found = {}
    for column in COLUMNS:
        if column.key in DERIVED:
            continue
        cost, base = track.cost(row, column), track.cost(baseline, column)
        if cost is not None and base and isfinite(ratio := cost / base):
            found[column.key] = ratio
    return found


def matches(track: Track, name: str) -> list[Row]:
    """The row with this label, or else all rows of the mixer with this name."""
    labelled = [row for row in track.rows if row.label == name]
    return labelled or [row for row in track.rows if row.first.mixer.name == name]


def several(track: Track, name: str, rows: Sequence[Row]) -> str:
    """That the name means all these rows, and what each is called."""
    labels = sorted(row.label for row in rows)
    more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    return (
        f"{name!r} is {len(rows)} rows of {place(track)}: name one of "
        f"{', '.join(map(repr, labels[:LISTED]))}{more}"
    )


def apart(tracks: Sequence[Track], names: Sequence[str]) -> str:
    """That no track has the first name and another, and where each is."""
    where = []
    for name in dict.fromkeys(names):
        here = [place(track) for track in tracks if matches(track, name)]
        more = f" and {len(here) - LISTED} more" if len(here) > LISTED else ""
        where.append(f"{name!r} in {', '.join(here[:LISTED])}{more}")
    return (
        f"no track has both {names[0]!r} and another row: {'; '.join(where)}. Rows are compared "
        "under one task, protocol, budget and device only"
    )


def callable_names(track: Track) -> Iterable[str]:
    """What a row may be called by."""
    for row in track.rows:
        yield from (row.label, row.first.mixer.name)


def place(track: Track) -> str:
    """The track in words."""
    key = track.key
    return f"{key.task} ({key.protocol}, {key.budget}, {key.device}, {key.precision})"


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
