"""The verdict on a claim: supported, contradicted, or not enough runs, with its reason."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from zoo_leaderboard.findings import profiled, select
from zoo_leaderboard.findings.evidence import Evidence, Says, says
from zoo_leaderboard.findings.spec import Finding, Test
from zoo_leaderboard.statistics import holm

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board

Verdict = Literal["supported", "contradicted", "not enough runs"]
SHOWN = 3
"""Reasons of one kind that are spelt out."""


def evaluate(finding: Finding, board: "Board") -> dict[str, Any]:
    """One finding as the document has it."""
    test = finding.test
    room = profiled if test.quantity.of == "profile" else select
    found, why = room.comparisons(test, board)
    adjusted = holm([one.p for one in found])
    judged = [(one, p, says(one, p)) for one, p in zip(found, adjusted, strict=True)]
    verdict, reason = decide(test, [(one, word) for one, _, word in judged], why)
    return {
        "id": finding.id,
        "claim": finding.claim,
        "source": finding.source,
        "verdict": verdict,
        "reason": reason,
        "test": described(test),
        "measure": test.measure,
        "evidence": [line(one, p, word) for one, p, word in judged],
        "command": finding.command,
        "missing": finding.missing,
    }


def line(one: Evidence, adjusted: float | None, word: Says) -> dict[str, Any]:
    """One comparison."""
    return {
        **one.names._asdict(),
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "p_holm": adjusted,
        "n_a": one.n_a,
        "n_b": one.n_b,
        "test": one.test,
        "says": word,
    }


def decide(
    test: Test, judged: Sequence[tuple[Evidence, Says]], why: Sequence[str]
) -> tuple[Verdict, str]:
    """The verdict over all comparisons; one that goes the other way makes it mixed."""
    count = Counter(word for _, word in judged)
    yes, no, open_ = count["supports"], count["contradicts"], count["open"]
    left = f"; left out: {some(why)}" if why else ""
    notes = [one.names.note for one, _ in judged if one.names.note]
    left += f"; {some(notes)}" if notes else ""
    whole = len(judged)
    if not whole:
        return "not enough runs", (some(why) if why else nothing(test))
    if yes and no:
        return "not enough runs", f"mixed: {yes} of {whole} for it, {no} against it{left}"
    undecided = [one for one, word in judged if word == "open"]
    if yes and (not open_ or test.needs == "any"):
        return "supported", f"{yes} of {whole} {plural(whole)} for it{left}"
    if no and (not open_ or test.needs == "every"):
        return "contradicted", f"{no} of {whole} {plural(whole)} against it{left}"
    decided = f"{yes + no} of {whole} decided; " if yes + no else ""
    return "not enough runs", f"{decided}{some([straddles(test, one) for one in undecided])}{left}"


def straddles(test: Test, one: Evidence) -> str:
    """Why a comparison says nothing yet."""
    names = one.names
    seeds = f"{one.n_a} and {one.n_b}" if names.b else f"{one.n_a}"
    pair = f"{names.a} and {names.b}" if names.b else names.a
    what = "repeats" if test.quantity.of == "profile" else "seeds"
    if one.difference is None:
        return f"{pair}: a ratio to 0 tells nothing"
    if one.low is None or one.high is None:
        return f"{pair}: {seeds} {what} show no spread to judge by"
    width = f"{one.low:.3g} to {one.high:.3g}, {one.high - one.low:.3g} wide"
    if one.side:
        return f"{pair}: not after Holm's correction over all comparisons ({width}, {seeds} {what})"
    return f"{pair}: the interval straddles {one.bound:g} ({width}, {seeds} {what})"


def some(reasons: Sequence[str]) -> str:
    """The first few of them, each once."""
    each = list(dict.fromkeys(reasons))
    more = len(each) - SHOWN
    return "; ".join(each[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def nothing(test: Test) -> str:
    """Where there is no record at all."""
    if test.quantity.of == "profile":
        return "no session yet that profiled both under equal conditions"
    return f"no run yet of {', '.join(test.tasks)}"


def described(test: Test) -> str:
    """The test in words: `score of a - b at least 0, every comparison`."""
    quantity = test.quantity
    what = {
        "score": "score",
        "score_at": f"score at {quantity.times:g} times the training length"
        if quantity.times
        else "",
        "cost": quantity.name or "",
        "profile": f"{quantity.name} at the longest length from {quantity.length} on",
    }[quantity.of]
    of = {"difference": "by how much a is better than b", "ratio": "a / b", "value": "a alone"}
    bound = f"at {'least' if test.at_least is not None else 'most'} {test.bound:g}"
    return f"{what}, {of[test.measure]}: {bound}, in {test.needs} comparison"


def plural(count: int) -> str:
    """`comparison is`, `comparisons are`."""
    return "comparison is" if count == 1 else "comparisons are"
