"""Published numbers: kept as data with source and caveat, shown beside ours, never among them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_leaderboard.read import Board


def part(board: "Board") -> dict[str, Any]:
    """The document's ``published``: sources, scores with our rows beside them, averages, costs."""
    from zoo_leaderboard.published.average import averages
    from zoo_leaderboard.published.cost import costs
    from zoo_leaderboard.published.load import curves, scores, sources
    from zoo_leaderboard.published.ours import beside, shelf

    here = shelf(board)
    return {
        "sources": [{"id": key, **one.model_dump()} for key, one in sources().items()],
        "rows": [{**asdict(row), "ours": beside(row, here)} for row in scores()],
        "averages": averages(),
        "costs": costs(),
        "curves": curves(),
    }
