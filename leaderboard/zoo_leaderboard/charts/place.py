"""Where names stand beside their points: over no other point and no other name."""

from math import log10

from zoo_leaderboard.charts.theme import Spec

WIDTH = 170
"""No name takes more room than this, in pixels."""
CROWD = 60
"""With more points than this only those on the front are named, and of them no more than this."""
LETTER = 6.2
"""About as wide as a letter is at 11.5 pixels; the page measures instead."""
PLACES = (
    ("left", 8, -10),
    ("right", -8, -10),
    ("center", 0, -16),
    ("left", 9, 0),
    ("left", 8, 10),
    ("right", -9, 0),
    ("right", -8, 10),
    ("center", 0, 16),
)
SHIFT = {"left": 0.0, "center": 0.5, "right": 1.0}

Box = tuple[float, float, float, float]


def place(
    points: list[Spec],
    across: list[float],
    upright: list[float],
    size: tuple[int, int],
    log: bool,
    up: bool,
) -> None:
    """Set shown, align, dx and dy of every point that has room for its name.

    ``across`` and ``upright`` are the ends of the axes; ``up``: the better score stands higher, so
    names on the front go above their points, away from the other rows.
    """
    spots = [
        (
            along(one["x"], across, log) * size[0],
            (1 - along(one["y"], upright, False)) * size[1],
        )
        for one in points
    ]
    taken: list[Box] = [(x - 5, x + 5, y - 5, y + 5) for x, y in spots]
    order = sorted(range(len(points)), key=lambda i: not points[i]["front"])
    for i in order[:CROWD]:
        point, spot = points[i], spots[i]
        if len(points) > CROWD and not point["front"]:
            break
        wide = min(WIDTH, LETTER * len(point["name"]))
        flip = 1 if point["front"] == up else -1
        for align, dx, away in PLACES:
            box = around(spot, wide, align, dx, flip * away)
            if inside(box, size) and not any(overlap(box, other) for other in taken):
                taken.append(box)
                point.update(shown=True, align=align, dx=dx, dy=flip * away)
                break


def along(value: float, ends: list[float], log: bool) -> float:
    """How far along the axis, 0 to 1."""
    low, high, value = (log10(v) if log else v for v in (*ends, value))
    return (value - low) / (high - low)


def around(spot: tuple[float, float], wide: float, align: str, dx: float, dy: float) -> Box:
    """The name's box: left, right, top, bottom."""
    left = spot[0] + dx - wide * SHIFT[align]
    return left, left + wide, spot[1] + dy - 7, spot[1] + dy + 7


def inside(box: Box, size: tuple[int, int]) -> bool:
    """Whether it stays in the plot, or a little to the right of it."""
    return box[0] > 0 and box[1] < size[0] + 20 and box[2] > 0 and box[3] < size[1]


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes share ground."""
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
