"""What a Pathfinder image is made of, by resolution and difficulty."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import zoo

Resolution = Literal[32, 64, 128, 256]
Difficulty = Literal["easy", "intermediate", "hard"]
PADDLES: Mapping[Difficulty, int] = {"easy": 6, "intermediate": 9, "hard": 14}
"""Paddles of a long contour."""


class Rules(NamedTuple):
    """Lengths are pixels; ``aa`` is by how much finer paddles are drawn before they are shrunk."""

    size: int
    padding: int
    """Width of a rim that contours keep off."""
    margins: tuple[int, ...]
    """Free space around a paddle; one of them is drawn for each image."""
    paddle: int
    """Length of a paddle."""
    thickness: float
    seed_distance: int
    """Between the first ends of the two long contours."""
    radius: float
    """Of a marker."""
    continuity: float
    """How straight contours are: a turn counts this many times its angle."""
    contour: int
    """Paddles of each of the two long contours."""
    distractor: int
    """Paddles of a distractor."""
    distractors: int
    """How many distractors are tried."""
    target_contrast: float
    distractor_contrast: float
    aa: int = 2
    paddle_trials: int = 3
    """Draws of one paddle before its contour is given up."""
    distractor_trials: int = 5
    """Draws of one distractor before it is left out."""
    crowded: float = 0.01
    """Share of free pixels below which no distractor is begun."""


def rules(resolution: Resolution, difficulty: Difficulty = "hard") -> Rules:
    """Those of Long Range Arena (Tay et al. 2020, arXiv 2011.04006; its data/pathfinder.py).

    It gives them for the hard images alone. In the others a distractor is a third of a contour
    too, and there are as many as give about as many paddles; at 32 pixels this hits the grey of
    the published generator. Contours of 32-pixel images are darker than distractors (the paddle
    contrast applies to them alone): that is how the release was made.

    Raises ZooError for a resolution or difficulty that is none.
    """
    if resolution not in get_args(Resolution):
        raise zoo.ZooError(f"pathfinder has no resolution {resolution}: type 32, 64, 128 or 256")
    if difficulty not in PADDLES:
        raise zoo.ZooError(f"no pathfinder is {difficulty!r}: type easy, intermediate or hard")
    contour = PADDLES[difficulty]
    distractor = contour // 3
    count = {32: 20, 64: 22, 128: 35, 256: 30}[resolution] // distractor
    known = {
        32: Rules(32, 1, (1,), 2, 0.5, 7, 1.5, 1.0, contour, distractor, count, 1.5, 2.0),
        64: Rules(64, 1, (1,), 5, 1.0, 12, 2.5, 1.8, contour, distractor, count, 0.8, 0.8),
        128: Rules(128, 1, (2, 3), 5, 1.5, 20, 3.0, 1.8, contour, distractor, count, 0.9, 0.9),
        256: Rules(256, 22, (3,), 5, 2.0, 27, 5.0, 1.8, contour, distractor, count, 1.0, 1.0),
    }
    return known[resolution]
