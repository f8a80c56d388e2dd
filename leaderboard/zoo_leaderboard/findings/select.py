"""Which rows of which tracks a claim may be judged by, and why the others may not."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.findings.evidence import Evidence, Names, counted, logs, sampled
from zoo_leaderboard.findings.spec import EXACT, Rows, Test
from zoo_leaderboard.measured import measured

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board
    from zoo_leaderboard.row import Row
    from zoo_leaderboard.statistics import Summary
    from zoo_leaderboard.track import Track

EQUAL = ("steps", "batch_size", "depth", "match", "pattern")
"""What two rows of a track must share; the width too, where nothing is matched.

The rest is the mixers' own: their options, position, learning rate.
"""
MOST = 100
"""Pairs of one track; more of them and Holm's correction leaves nothing."""


def comparisons(test: Test, board: "Board") -> tuple[list[Evidence], list[str]]:
    """Every fair comparison inside one track, and why others were left out."""
    found: list[Evidence] = []
    why: list[str] = []
    for track in board.tracks:
        if track.key.task in test.tasks:
            here = [track.key.task, f"protocol {track.key.protocol}", f"budget {track.key.budget}"]
            for one in within(test, track):
                if isinstance(one, str):
                    why.append(f"{', '.join(here)}: {one}")
                else:
                    found.append(one)
    return found, why


def within(test: Test, track: "Track") -> Iterator[Evidence | str]:
    """The comparisons of one track, or why there is none."""
    if refused := refusal(test, track):
        yield refused
        return
    left = [row for row in track.rows if matches(row, test.a)]
    right: list[Row | None] = [None]
    if test.b is not None:
        right = [row for row in track.rows if matches(row, test.b)]
    absent = [told(rows) for rows, there in ((test.a, left), (test.b, right)) if rows and not there]
    if absent:
        yield f"no run of {' nor of '.join(absent)}"
    elif len(left) * len(right) > MOST:
        yield f"{len(left)} times {len(right)} rows fit, too many to judge; name their options"
    else:
        for a, b in ((a, b) for a in left for b in right if a is not b):
            yield judged(test, track, a, b)


def told(rows: Rows) -> str:
    """The rows in words: `attention with rope`."""
    who = " or ".join((*rows.mixer, *rows.family)) or "any mixer"
    where = f" with {' or '.join(rows.position)}" if rows.position else ""
    options = "".join(f" {key}={value}" for key, value in rows.options.items())
    return f"{who}{options}{where}"


def refusal(test: Test, track: "Track") -> str:
    """Why a whole track does not count; smoke runs never do, whatever a claim says."""
    key = track.key
    if key.budget == "smoke":
        return "smoke runs are no result"
    if test.budgets and key.budget not in test.budgets:
        return f"the claim is about budget {' or '.join(test.budgets)}"
    if test.protocols and key.protocol not in test.protocols:
        return f"the claim is about protocol {' or '.join(test.protocols)}"
    return ""


def matches(row: "Row", wanted: Rows) -> bool:
    """Whether the row fits every filter."""
    mixer, config = row.first.mixer, row.first.config
    position = config.get("position")
    name = position.get("name") if isinstance(position, Mapping) else None
    return (
        (not wanted.mixer or mixer.name in wanted.mixer)
        and (not wanted.family or mixer.family in wanted.family)
        and (not wanted.position or name in wanted.position)
        and all(
            key in mixer.options and mixer.options[key] == value
            for key, value in wanted.options.items()
        )
    )


def judged(test: Test, track: "Track", a: "Row", b: "Row | None") -> Evidence | str:
    """The evidence of one pair, or why it is none."""
    pair = [row for row in (a, b) if row is not None]
    few = [row for row in pair if len(row.ok) < test.least_seeds]
    if few:
        return "; ".join(
            f"{row.label} has {len(row.ok)} of {test.least_seeds} seeds" for row in few
        )
    if b is not None and (unlike := differing(a.first.config, b.first.config)):
        return f"{a.label} and {b.label} differ in {', '.join(unlike)}"
    values = [values_of(test, track, row) for row in pair]
    for row, one in zip(pair, values, strict=True):
        if isinstance(one, str):
            return f"{row.label}: {one}"
        fit = logs(one) if test.measure == "ratio" else one
        if len(fit) < test.least_seeds:
            return f"{row.label}: only {len(fit)} of its seeds measured this"
    known = [one for one in values if not isinstance(one, str)]
    scored = test.quantity.of in ("score", "score_at")
    if b is not None and scored and not any(learned(test, track, row) for row in pair):
        return f"neither {a.label} nor {b.label} is above chance, so that they tell nothing"
    where = length_of(test, track)
    names = Names(track.key.anchor, a.label, b.label if b else "", where, failures(pair))
    sign = 1 if track.higher_is_better or not scored else -1
    if test.quantity.name in EXACT and all(len(set(one.values())) == 1 for one in known):
        first, *second = (next(iter(one.values())) for one in known)
        n = (len(known[0]), len(known[1]) if b else 0)
        return counted(names, first, second[0] if second else 0.0, test, sign, n)
    metric = track.key.headline if scored and test.measure == "difference" else ""
    return sampled(names, known[0], known[1] if b else {}, test, sign, metric)


def failures(pair: list["Row"]) -> str:
    """Seeds that ended badly have no score; the others alone flatter the row, which is said."""
    return "; ".join(
        f"{row.label}: {row.planned - len(row.ok)} of {row.planned} seeds failed"
        for row in pair
        if len(row.ok) < row.planned
    )


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The conditions that the two do not share."""
    keys = EQUAL if a.get("match") else (*EQUAL, "dim")
    found = [key for key in keys if a.get(key) != b.get(key)]
    # Two causal layers, one each way, see both ways as well.
    sees = [str(one.get("direction")).replace("wrapped", "bidirectional") for one in (a, b)]
    return found if sees[0] == sees[1] else [*found, "direction"]


def values_of(test: Test, track: "Track", row: "Row") -> dict[int, float] | str:
    """The quantity by seed, or why there is none."""
    quantity = test.quantity
    if quantity.of == "score":
        return row.values
    if quantity.of == "score_at":
        length = length_of(test, track)
        if length is None:
            return "the task does not say how long its training strings are"
        if length not in row.curve:
            return f"not tested at length {length}"
        return {record.seed: record.curve[length] for record in row.ok}
    assert quantity.name is not None
    length = length_of(test, track)
    every = {record.seed: measured(record, quantity.name, length) for record in row.ok}
    return {seed: value for seed, value in every.items() if value is not None}


def length_of(test: Test, track: "Track") -> int | None:
    """The length that the quantity is taken at here; None where there is none."""
    quantity = test.quantity
    if quantity.of == "cost":
        return track.length(next(c for c in COLUMNS if c.key == quantity.name))
    if track.trained_to is None or quantity.times is None:
        return None
    try:
        return round(quantity.times * track.trained_to)
    except OverflowError:  # a hostile record's integer of 400 digits
        return None


def learned(test: Test, track: "Track", row: "Row") -> bool:
    """Whether the row beats chance there; True where chance is not told."""
    if track.chance is None:
        return True
    if test.quantity.of == "score":
        return track.learned(row) is not False
    length = length_of(test, track)
    return beats(row.curve[length], track) if length in row.curve else False


def beats(summary: "Summary", track: "Track") -> bool:
    """The whole interval beyond chance, the mean where there is no interval."""
    assert track.chance is not None
    low, high = summary.interval or (summary.mean, summary.mean)
    return low > track.chance if track.higher_is_better else high < track.chance
