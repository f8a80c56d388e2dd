"""What is said where a data set is not: it can be typed, and nothing is a traceback."""

import inspect
from pathlib import Path
from typing import get_args

import pytest

import zoo
from zoo_lra import (
    aan,
    cifar,
    fashion,
    imdb,
    movie_reviews,
    pathfinder_release,
    release,
    shakespeare,
)
from zoo_lra.copies import Copies, first
from zoo_lra.image import Image
from zoo_lra.listops import ListOps
from zoo_lra.pathfinder import Pathfinder
from zoo_lra.retrieval import Retrieval
from zoo_lra.text import Text

EVERY: list[tuple[type[zoo.Task], Copies, bool]] = [
    (Text, imdb.COPIES, True),
    (Text, movie_reviews.COPIES, False),
    (Retrieval, aan.COPIES, True),
    (Retrieval, shakespeare.COPIES, False),
    (Image, cifar.COPIES, True),
    (Image, fashion.COPIES, False),
    (ListOps, release.LISTOPS, True),
    (Pathfinder, pathfinder_release.copies(32, "hard"), True),
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize(("task", "copies", "stands_in"), EVERY)
def test_what_stands_in_is_a_value_of_task_data(
    task: type[zoo.Task], copies: Copies, stands_in: bool
) -> None:
    values = get_args(inspect.signature(task).parameters["data"].annotation)
    assert bool(copies.instead) == stands_in
    assert set(copies.instead) <= set(values)
    told = copies._replace(installed=lambda: None).missing("", "lra/toy")
    assert told is not None
    assert f"type `zoo data fetch {copies.source.name}`" in told
    assert all(f"task.data={name}" in told for name in copies.instead)
    assert ("task.data=" in told) == stands_in


@pytest.mark.parametrize("root", ["a" * 5000, "~nobody-of-this-name/data"])
def test_a_root_that_cannot_be_looked_at_is_told(root: str) -> None:
    for _, copies, _ in EVERY:
        with pytest.raises(zoo.DataError, match=r"lra/toy: .* cannot be read: "):
            copies.require(root, "lra/toy")


def test_a_data_folder_closed_to_us_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: zoo.Source) -> bool:
        raise PermissionError(13, "Permission denied", "data")

    monkeypatch.setattr(zoo.Download, "here", closed)
    for _, copies, _ in EVERY:
        told = str(copies.missing("", "lra/toy"))
        assert told.endswith(
            "cannot be read: Permission denied; point ZOO_DATA to a folder of yours"
        )


def test_a_folder_named_like_an_archive_is_none(tmp_path: Path) -> None:
    (tmp_path / "aclImdb_v1.tar.gz").mkdir()
    assert first(tmp_path, ["aclImdb_v1.tar.gz"]) is None
