"""Our rows beside a published number: how far apart, and whether that may be said at all."""

from math import hypot, sqrt
from typing import TYPE_CHECKING, Any

from zoo_leaderboard.published.load import Score

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board
    from zoo_leaderboard.row import Row
    from zoo_leaderboard.track import Track

MOST = 20
"""Rows of ours beside one number; nobody reads more."""
Shelf = dict[tuple[str, str], list[tuple["Track", "Row"]]]


def shelf(board: "Board") -> Shelf:
    """Our rows that have a score, by task and mixer."""
    found: Shelf = {}
    for track in board.tracks:
        for _, row in track.ranking:
            if row.summary is not None:
                key = (base(track.key.task), row.first.mixer.name)
                found.setdefault(key, []).append((track, row))
    return found


def base(task: str) -> str:
    """The task without what stands after a colon: which data set or form of it."""
    return task.partition(":")[0]


def beside(score: Score, here: Shelf) -> list[dict[str, Any]]:
    """Rows of ours on the same task by the same mixer, comparable ones first, then by rank."""
    if score.mixer is None:
        return []
    every = here.get((base(score.task), score.mixer), [])
    unfit = {track.key: bool(mismatches(score, track)) for track, _ in every}
    fair_first = sorted(every, key=lambda one: unfit[one[0].key])
    return [against(score, *one) for one in fair_first[:MOST]]


def against(score: Score, track: "Track", row: "Row") -> dict[str, Any]:
    """One of our rows: the difference, ours - published; in standard errors where it is fair."""
    summary = row.summary
    assert summary is not None
    wrong = mismatches(score, track)
    same = score.metric == track.key.headline and score.value is not None
    difference = summary.mean - score.value if same and score.value is not None else None
    errors, notes = None, list(wrong)
    if not wrong and difference is not None:
        errors, said = standard_errors(difference, score, row)
        notes += said
    if row.provisional:
        notes.append(f"ours is provisional: {seeds(len(row.ok))}")
    return {
        "track": track.key.anchor,
        "label": row.label,
        "mean": summary.mean,
        "difference": difference,
        "standard_errors": errors,
        "comparable": not wrong,
        "because": "; ".join(notes),
    }


def mismatches(score: Score, track: "Track") -> list[str]:
    """Why the two may not be compared, in words; nothing where they may."""
    key, found = track.key, []
    for what, ours, theirs in (
        ("task", key.task, score.task),
        ("protocol", key.protocol, score.protocol),
        ("budget", key.budget, score.budget),
        ("metric", key.headline, score.metric),
    ):
        if ours != theirs:
            found.append(f"{what} {ours} is not {theirs}")
    if score.value is None:
        found.append(f"nothing to compare with: {score.reason}")
    if "transplant" in score.flags:
        found.append("the published number was measured on another task")
    return found


def standard_errors(difference: float, score: Score, row: "Row") -> tuple[float | None, list[str]]:
    """The difference over sqrt(ours^2 + theirs^2); ours alone where theirs is not known."""
    ours, theirs = error_of_ours(row), error_of_theirs(score)
    notes = [] if theirs is not None else ["standard error of ours alone: theirs is not told"]
    if score.spread_kind == "unstated":
        notes = ["standard error of ours alone: what their ± is, is not stated"]
    if ours is None:
        return None, ["no standard error: ours is one seed"]
    whole = hypot(ours, theirs or 0.0)
    if whole <= 1e-12:
        return None, ["no standard error: all our seeds scored the same"]
    return difference / whole, notes


def error_of_ours(row: "Row") -> float | None:
    """The standard error of the mean over our seeds; one seed has none."""
    summary = row.summary
    if summary is None or summary.sd is None:
        return None
    return summary.sd / sqrt(summary.n)


def error_of_theirs(score: Score) -> float | None:
    """From what is printed, where the paper says what that is."""
    if score.spread is None or score.spread_kind == "se":
        return score.spread
    if score.spread_kind == "sd" and score.seeds:
        return score.spread / sqrt(score.seeds)
    return None


def seeds(count: int) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} seed{'' if count == 1 else 's'}"
