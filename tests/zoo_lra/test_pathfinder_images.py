"""Images against those of the published program, and against what it says of them."""

import importlib.util
from hashlib import sha256
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest

import zoo
from zoo_lra import pathfinder_growing, pathfinder_images
from zoo_lra.pathfinder_images import Image, image, images
from zoo_lra.pathfinder_kit import DEGREES, kit
from zoo_lra.pathfinder_rules import Difficulty, Resolution, rules

PUBLISHED: list[tuple[Resolution, Difficulty, int, str]] = [
    (32, "hard", 12, "b9e737622799c77fece06d7d4d696a7f6c11f485658bc64f548d414697e55d8c"),
    (32, "intermediate", 6, "3cffad12173afd4ac87ae7a6e667d42502162a1102f3874b66fa6d2b30bc05a2"),
    (32, "easy", 6, "6854ffdb3e91db8187742c144bd5c7c22878102efc132ce53897901164b43026"),
    (64, "easy", 4, "a003f20c8025fba34893b509b9b521d273e1a4ebdc3c0c2193dcebec87487c29"),
    (128, "hard", 4, "ae67f8fc50a2e3ee29588dabdcaeb29524bd87647dbf787b89faad48c4ac7ac6"),
    (256, "hard", 3, "d2962f87602329fe27a43a09dcb80ae7e905f083e5a9c6dcf6c6c33f2fb3331c"),
]
"""Digests of the first images with key (7, resolution) that drewlinsley/pathfinder at ab9c130
made when its draws were taken from the same words: bench/pathfinder.py tells how.
"""


@pytest.fixture(params=["as installed", "without numba"])
def growing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Images grown by compiled code where there is a compiler, and by plain Python."""
    if request.param == "without numba":
        plain = without_numba(monkeypatch)
        assert not hasattr(plain.grow, "py_func")
        monkeypatch.setattr(pathfinder_images, "grow", plain.grow)
        monkeypatch.setattr(pathfinder_images, "draw", plain.draw)
    return str(request.param)


def without_numba(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as it is where numba cannot be imported."""
    with monkeypatch.context() as patch:
        patch.setattr(zoo.ops.fused, "missing", lambda: "not installed")
        spec = importlib.util.spec_from_file_location("plain", pathfinder_growing.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("resolution", "difficulty", "count", "digest"), PUBLISHED)
def test_same_choices_give_the_bytes_of_the_published_program(
    growing: str, resolution: Resolution, difficulty: Difficulty, count: int, digest: str
) -> None:
    made = images(rules(resolution, difficulty), (7, resolution), 0, count)
    assert sha256(b"".join(one.pixels.tobytes() for one in made)).hexdigest() == digest


def test_an_image_is_a_function_of_its_number_alone() -> None:
    asked = rules(32)
    one = image(asked, (1, 2), 5)
    row = list(images(asked, (1, 2), 3, 4))
    assert np.array_equal(row[2].pixels, one.pixels)
    others = [image(asked, key, 5).pixels for key in ((1, 3), (2, 2))]
    assert all((one.pixels != other).any() for other in [*others, row[3].pixels])


def test_running_out_of_words_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = rules(32)
    plenty = [image(asked, (0, 0), number).pixels for number in range(5)]
    monkeypatch.setattr(pathfinder_images, "WORDS", 64)
    scarce = [image(asked, (0, 0), number).pixels for number in range(5)]
    assert np.array_equal(plenty, scarce)


@pytest.fixture(scope="module")
def many() -> list[Image]:
    return list(images(rules(32), (11, 0), 0, 600))


def test_grey_and_labels_are_as_measured_on_the_published_program(many: list[Image]) -> None:
    """2,400 of its images: mean grey 20.14 (.02), lit .3406, above 200 .01595; a coin's labels."""
    pixels = np.stack([one.pixels for one in many])
    labels = np.array([one.label for one in many])
    assert pixels.mean() == pytest.approx(20.14, abs=0.25)
    assert (pixels > 0).mean() == pytest.approx(0.3406, abs=0.005)
    assert (pixels > 200).mean() == pytest.approx(0.01595, abs=0.0005)
    assert abs(labels.mean() - 0.5) < 4 * 0.5 / len(labels) ** 0.5
    assert (pixels.min((1, 2)) == 0).all()
    assert (pixels.max((1, 2)) == 255).all()
    means = pixels.mean((1, 2))
    apart = means[labels == 0].mean() - means[labels == 1].mean()
    assert abs(apart) < 4 * means.std() * 2 / len(labels) ** 0.5


def test_markers_are_at_the_ends_of_one_contour_or_of_two(many: list[Image]) -> None:
    for one in many:
        firsts, lasts = one.targets[:, 0, :2].tolist(), one.targets[:, -1, :2].tolist()
        origin, terminal = one.ends.tolist()
        which = firsts.index(origin)
        assert terminal == lasts[which if one.label else 1 - which]
    origins = [one.targets[:, 0, :2].tolist().index(one.ends[0].tolist()) for one in many]
    assert 0.4 < np.mean(origins) < 0.6


def test_paddles_of_a_contour_follow_one_another(many: list[Image]) -> None:
    """From joint to joint it is a paddle and a margin on both sides, rounded up, and so are ends;
    a turn of more than a right angle has no odds.
    """
    asked = rules(32)
    tables = kit(asked, 1)
    step = asked.paddle + 2
    assert step == 4
    for one in many[:100]:
        for contour in one.targets.tolist():
            for (y, x, before), (v, u, direction) in pairwise(contour[1:]):
                assert direction >= DEGREES
                assert tables.odds[before, direction - DEGREES] > 0
                # the end is 3 (rounded down) from a joint that is 4 (rounded up) from a joint
                # that is 3 (rounded down) from the end before
                assert np.hypot(v - y, u - x) < 4 + 3 * 2**0.5 + 3


def test_distractors_are_whole_or_left_out(many: list[Image]) -> None:
    """Two long contours leave an image of 32 pixels room for one distractor of four paddles."""
    placed = np.array([(one.distractors[:, 0, 2] >= 0).sum() for one in many])
    assert 0.8 < placed.mean() < 1.3
    for one in many[:100]:
        for contour in one.distractors:
            if contour[0, 2] >= 0:
                assert (contour[1:, 2] >= DEGREES).all()
                assert (contour[:, :2] > 0).all()
                assert (contour[:, :2] < 31).all()


def test_unknown_kinds_are_told_what_there_is() -> None:
    with pytest.raises(zoo.ZooError, match="no resolution 48: type 32, 64, 128 or 256"):
        rules(48)  # type: ignore[arg-type]
    with pytest.raises(zoo.ZooError, match="'medium': type easy, intermediate or hard"):
        rules(32, "medium")  # type: ignore[arg-type]
