"""Against the imaging library itself, and angles against many digits."""

from math import ceil, cos, pi, sin

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
from PIL import Image, ImageDraw

from zoo_lra.pathfinder_angles import angle_of, cosine, half_turn, sine
from zoo_lra.pathfinder_strokes import disc, line, shrink, spread


def test_sines_are_rounded_correctly() -> None:
    with mpmath.workprec(200):
        for degree in range(-180, 181, 7):
            angle = degree * pi / 180
            assert sine(angle) == float(mpmath.sin(angle))
            assert cosine(angle) == float(mpmath.cos(angle))


def test_angles_are_rounded_correctly() -> None:
    with mpmath.workprec(200):
        for y in range(-9, 10, 2):
            for x in range(-8, 9):
                assert angle_of(y, x) == float(mpmath.atan2(y, x))


def test_the_noise_of_a_sine_is_kept() -> None:
    assert 0 < sine(pi) < 2e-16
    assert ceil(4 + 4 * sine(pi)) == 5


def test_half_a_turn_stays_between_minus_pi_and_pi() -> None:
    for degree in range(-180, 180):
        angle = degree * pi / 180
        turned = half_turn(angle)
        assert -pi <= turned < pi
        assert sin(turned) == pytest.approx(-sin(angle), abs=1e-15)
        assert cos(turned) == pytest.approx(-cos(angle), abs=1e-15)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_lines_are_those_of_the_imaging_library(width: int) -> None:
    side, middle, length = 41, 20, 4 if width == 1 else 10
    for degree in range(-180, 180):
        angle = degree * pi / 180
        end = ceil(middle + length * sine(angle)), ceil(middle + length * cosine(angle))
        theirs = Image.new("F", (side, side), "black")
        pen = ImageDraw.Draw(theirs)
        pen.line([(middle, middle), (end[1], end[0])], fill="white", width=width)
        ours = line(side, (middle, middle), end, width)
        assert np.array_equal(ours, np.array(theirs)), (degree, width)


@pytest.mark.parametrize(("before", "after"), [(17, 9), (41, 21), (64, 32)])
def test_shrinking_is_that_of_the_imaging_library(before: int, after: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (before, before), dtype=np.uint8)
    for plane in (noise, (noise > 200).astype(np.uint8) * np.uint8(255)):
        theirs = Image.fromarray(plane).resize((after, after), Image.Resampling.LANCZOS)
        assert np.array_equal(shrink(plane, after, after), np.array(theirs))


def test_spreading_takes_the_brightest_near() -> None:
    plane = np.zeros((9, 9), np.uint8)
    plane[4, 4], plane[0, 8] = 7, 9
    shape = disc(2)
    out = spread(plane, shape)
    for y in range(9):
        for x in range(9):
            near = [
                plane[v, u] for v in range(9) for u in range(9) if (v - y) ** 2 + (u - x) ** 2 <= 4
            ]
            assert out[y, x] == max(near)
