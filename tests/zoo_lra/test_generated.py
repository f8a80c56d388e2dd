"""Generated data sets as sources: fetched, verified, read back; the same bytes everywhere."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra import generated
from zoo_lra.generated import LISTOPS_FILES, SOURCES, pathfinder, pathfinder_plan
from zoo_lra.splits import generate
from zoo_lra.trees import Rules

FEW = {"train": 1500, "valid": 20, "test": 10}
BYTES = "c60420a64ef460716af15d69f327eb1d"
"""The checksum of the first thousand 32-pixel hard test images of seed 0, as numpy writes them."""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(generated, "PATHFINDERS", FEW)


def test_a_fetched_set_is_here_whole_and_read_without_making_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = SOURCES["pathfinder32-easy"]
    assert not source.here()
    assert source.verify() == []  # nothing is here that could be damaged
    source.fetch()
    assert source.here()
    assert source.verify() == []

    def refuse(*_: object) -> None:
        raise AssertionError("it is here already")

    monkeypatch.setattr(generated, "_shard", refuse)
    splits = pathfinder(32, "easy", 0, {"train": 1500, "valid": 20, "test": 10})
    assert {split: len(rows.labels) for split, rows in splits.items()} == FEW
    assert splits["train"].width == 1024


def test_force_makes_it_anew(tmp_path: Path) -> None:
    source = SOURCES["pathfinder32-easy"]
    source.fetch()
    paths = sorted((tmp_path / "data").rglob("*.npy"))
    before = [path.stat().st_ino for path in paths]
    source.fetch(force=True)
    assert sorted((tmp_path / "data").rglob("*.npy")) == paths
    assert [path.stat().st_ino for path in paths] != before


def test_bytes_are_pinned_whatever_the_number_of_workers(tmp_path: Path) -> None:
    pathfinder(32, "hard", 0, {"test": 5}, workers=3)
    folder = pathfinder_plan(32, "hard", "test").folder
    assert folder.is_relative_to(tmp_path)
    assert [path.name for path in folder.iterdir()] == [f"test-00000-{BYTES}.npy"]


def test_seeds_and_splits_are_other_images() -> None:
    one = pathfinder(32, "easy", 0, {"train": 50, "test": 50})
    two = pathfinder(32, "easy", 1, {"train": 50})
    shown = [
        row.tobytes()
        for rows in (one["train"], one["test"], two["train"])
        for row in rows.take(np.arange(50))
    ]
    assert len(set(shown)) == 150


def test_every_kind_has_a_source_that_says_what_it_takes() -> None:
    assert len(SOURCES) == 12
    assert SOURCES["pathfinder128"].effort == "generated, 3.28 GB on disk"
    assert [name for name, source in SOURCES.items() if "lra" in source.groups] == [
        "pathfinder32",
        "pathfinder128",
    ]


def test_sources_are_offered_without_torch() -> None:
    code = "import sys, zoo_lra.generated, zoo_lra.release; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_expressions_on_disk_are_those_generated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generated, "LISTOPS", {"train": 300, "valid": 40, "test": 50})
    asked: dict[zoo.Split, int] = {"train": 100, "valid": 40, "test": 20}
    assert LISTOPS_FILES.rows(asked) is None
    LISTOPS_FILES.fetch()
    assert LISTOPS_FILES.verify() == []
    found = LISTOPS_FILES.rows(asked)
    assert found is not None
    made = generate({str(split): count for split, count in asked.items()}, 0, Rules(), 1)
    for split, rows in found.items():
        for mine, theirs in zip(rows, made[split], strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
    assert LISTOPS_FILES.rows({"train": 301}) is None
    path = LISTOPS_FILES.folder() / "train-tokens.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert LISTOPS_FILES.rows(asked) is None
    assert "`zoo data fetch listops --force` mends it" in capsys.readouterr().err
