"""Small pictures as the imaging library of 2019 drew and shrank them: lines, discs, Lanczos.

The published generator draws with Pillow and shrinks with SciPy's old imresize, that is Pillow
again. Both are written afresh here, in integers where Pillow has them, so that the bytes depend
on no version.
"""

from math import ceil, floor, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_lra.pathfinder_angles import sine

Plane = NDArray[np.uint8]
WHITE = 255
BITS = 22
"""Of Pillow's fixed point weights."""
SUPPORT = 3
"""Half width of the Lanczos window."""
PI = 3.141592653589793


class Edge(NamedTuple):
    """A side of a polygon, by its ends."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def low(self) -> int:
        """Its first row."""
        return min(self.y0, self.y1)

    @property
    def high(self) -> int:
        """Its last row."""
        return max(self.y0, self.y1)

    def crosses(self, y: int) -> float:
        """Where a row meets it, in single precision as the original computes it."""
        slope = np.float32(self.x1 - self.x0) / np.float32(self.y1 - self.y0)
        return float(np.float32(y - self.y0) * slope + np.float32(self.x0))


def line(side: int, start: tuple[int, int], end: tuple[int, int], width: int) -> Plane:
    """A white line from ``start`` to ``end``, each (y, x), on a black square."""
    plane = np.zeros((side, side), np.uint8)
    (y0, x0), (y1, x1) = start, end
    if width == 1:
        _thin(plane, x0, y0, x1, y1)
    else:
        _fill(plane, _outline(x0, y0, x1, y1, width))
    return plane


def disc(radius: float) -> NDArray[np.bool_]:
    """All whole points no farther than ``radius`` from the middle."""
    reach = int(radius)
    offsets = np.arange(-reach, reach + 1)
    inside: NDArray[np.bool_] = offsets[:, None] ** 2 + offsets**2 <= radius**2
    return inside


def spread(plane: Plane, shape: NDArray[np.bool_]) -> Plane:
    """Each pixel becomes the brightest under ``shape`` around it; outside is black."""
    reach = len(shape) // 2
    rows, columns = plane.shape
    padded = np.pad(plane, reach)
    out = np.zeros_like(plane)
    for y, x in np.argwhere(shape):
        np.maximum(out, padded[y : y + rows, x : x + columns], out=out)
    return out


def shrink(plane: Plane, rows: int, columns: int) -> Plane:
    """Lanczos, rows first and rounded to bytes between the two passes."""
    across = weighed(plane.astype(np.int64) @ lanczos(plane.shape[1], columns).T)
    return weighed(lanczos(plane.shape[0], rows) @ across.astype(np.int64))


def lanczos(before: int, after: int) -> NDArray[np.int64]:
    """(after, before) weights in fixed point."""
    scale = before / after
    reach = SUPPORT * scale
    weights = np.zeros((after, before), np.int64)
    for row in range(after):
        centre = (row + 0.5) * scale
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), before)
        window = [_window((x - centre + 0.5) / scale) for x in range(first, last)]
        whole = sum(window)
        for x, weight in zip(range(first, last), window, strict=True):
            value = weight / whole * (1 << BITS)
            weights[row, x] = int(value + (0.5 if value >= 0 else -0.5))
    return weights


def weighed(sums: NDArray[np.int64]) -> Plane:
    """Fixed point to bytes."""
    shrunk: Plane = np.clip((sums + (1 << (BITS - 1))) >> BITS, 0, WHITE).astype(np.uint8)
    return shrunk


def _window(x: float) -> float:
    """Lanczos's window of three lobes."""
    return _sinc(x) * _sinc(x / SUPPORT) if -SUPPORT <= x < SUPPORT else 0.0


def _sinc(x: float) -> float:
    return sine(x * PI) / (x * PI) if x else 1.0


def _thin(plane: Plane, x0: int, y0: int, x1: int, y1: int) -> None:
    """Bresenham's line, both ends included."""
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    step_x, step_y = (1 if x1 > x0 else -1), (1 if y1 > y0 else -1)
    flat = dx > dy
    long, short = (dx, dy) if flat else (dy, dx)
    error = 2 * short - long
    for _ in range(long):
        plane[y0, x0] = WHITE
        aside = error >= 0 and short > 0
        if aside:
            error -= 2 * long
        error += 2 * short
        x0 += step_x * (flat or aside)
        y0 += step_y * (not flat or aside)
    plane[y1, x1] = WHITE


def _outline(x0: int, y0: int, x1: int, y1: int, width: int) -> list[Edge]:
    """The four sides of a line of some width."""
    dx, dy = x1 - x0, y1 - y0
    half, length = (width - 1) / 2, sqrt(dx * dx + dy * dy)
    more, less = _up(half) / length, _down(half) / length
    left, down = _down(less * dy), _down(more * dx)
    right, up = _down(more * dy), _down(less * dx)
    corners = [
        (x0 - left, y0 + down),
        (x1 - left, y1 + down),
        (x1 + right, y1 - up),
        (x0 + right, y0 - up),
    ]
    return [Edge(*a, *b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]


def _fill(plane: Plane, edges: list[Edge]) -> None:
    """What lies between the sides, row by row; of two equal halves a side keeps its own."""
    last = max(edge.high for edge in edges)
    slanted = [edge for edge in edges if edge.low < edge.high]
    for edge in edges:
        if edge.low == edge.high:
            plane[edge.low, min(edge.x0, edge.x1) : max(edge.x0, edge.x1) + 1] = WHITE
    for y in range(min(edge.low for edge in edges), last + 1):
        meets: list[float] = []
        for edge in slanted:
            if edge.low <= y <= edge.high:
                # twice where a side ends, so that meetings pair up
                meets += [edge.crosses(y)] * (2 if y == edge.high < last else 1)
        meets.sort()
        for start, end in zip(meets[::2], meets[1::2], strict=False):
            plane[y, max(_up(start), 0) : max(_down(end) + 1, 0)] = WHITE


def _up(value: float) -> int:
    """To the nearest whole number, a half away from zero."""
    return floor(value + 0.5) if value >= 0 else -floor(-value + 0.5)


def _down(value: float) -> int:
    """To the nearest whole number, a half towards zero."""
    return ceil(value - 0.5) if value >= 0 else -ceil(-value - 0.5)
