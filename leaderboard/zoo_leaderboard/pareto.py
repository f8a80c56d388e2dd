"""Which points no other point beats: the front of quality against cost."""

from collections.abc import Sequence

Point = tuple[float, float]


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other dominates; on both axes more is better.

    A point dominates another when it is at least as good on both axes and better on one, so equal
    points stand on the front together. The caller negates an axis on which less is better, and
    leaves out points that miss a value.
    """
    best = float("-inf")
    kept: list[int] = []
    # From the best x down, at one x from the best y down: what comes later can only tie or lose.
    for i in sorted(range(len(points)), key=lambda i: points[i], reverse=True):
        if points[i][1] > best or (kept and points[kept[-1]] == points[i]):
            kept.append(i)
            best = points[i][1]
    return sorted(kept)
