"""Findings: what papers claim, as small specs over records, and what our own runs say of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board


def part(board: "Board") -> list[dict[str, Any]]:
    """The document's ``findings``: one verdict a claim, with its evidence."""
    from zoo_leaderboard.findings.spec import findings
    from zoo_leaderboard.findings.verdict import evaluate

    return [evaluate(finding, board) for finding in findings()]
