"""A source says in words what is missing, what it costs to bring, and what to type."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import zoo
from zoo.data.source import sized


class Made(zoo.Stored):
    """One that is generated: all that its author writes is ``bring``."""

    def bring(self, folder: Path) -> Sequence[str]:
        (folder / "rows.txt").write_text("rows")
        return ["generated"]


MADE = Made(
    name="made",
    title="Rows",
    licence="CC0",
    cite="Nobody 2026",
    origin="generated",
    size=0,
    disk=2_600_000_000,
)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (999_600, "1 MB"),
        (84_125_825, "84.1 MB"),
        (170_498_071, "170 MB"),
        (10_620_000_000, "10.6 GB"),
        (None, "of unknown size"),
    ],
)
def test_bytes_as_a_person_reads_them(count: int | None, words: str) -> None:
    assert sized(count) == words


def test_what_is_missing_is_said_with_the_command(data: Path) -> None:
    assert MADE.missing(task="lra/made") == (
        "lra/made needs made, which is not here: type `zoo data fetch made` (generated, 2.6 GB on "
        "disk), or name your own copy with task.root=FOLDER"
    )
    loaded = replace(MADE, size=84_125_825, origin="ai.stanford.edu")
    assert "made is not here: type `zoo data fetch made` (84.1 MB from ai.stanford.edu)" in str(
        loaded.missing()
    )


def test_what_an_author_generates_is_kept_like_what_is_downloaded(data: Path) -> None:
    small = replace(MADE, disk=4)
    small.fetch()
    assert small.missing() is None
    assert (small.require() / "rows.txt").read_text() == "rows"
    assert small.verify() == []
    (small.folder() / "rows.txt").write_text("rowt")
    (complaint,) = small.verify()
    assert "rows.txt is damaged" in complaint


def test_the_data_folder_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", "~/sets")
    assert zoo.data_folder() == Path.home() / "sets"
    monkeypatch.delenv("ZOO_DATA")
    assert zoo.data_folder().is_absolute()
