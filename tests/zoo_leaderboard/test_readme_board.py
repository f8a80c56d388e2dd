"""The README's table and the docs' figures are those of the committed records."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return runpy.run_path(str(ROOT / "docs" / name))


@pytest.mark.parametrize("name", ["readme.py", "efficiency.py"])
def test_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--check"])
    assert script(name, monkeypatch)["main"]() == 0, "type `make readme`"


def test_what_is_not_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = script("figures.py", monkeypatch)["same"]
    figure, page = tmp_path / "a.svg", tmp_path / "README.md"
    assert not same(figure, b"<svg/>\n<!-- " + b"a" * 64 + b" -->\n")
    figure.write_bytes(b"<svg/>\n<!-- " + b"a" * 64 + b" -->\n")
    assert same(figure, b"<svg font='other'/>\n<!-- " + b"a" * 64 + b" -->\n")
    assert not same(figure, b"<svg/>\n<!-- " + b"b" * 64 + b" -->\n")
    page.write_bytes(b"a" * 100 + b"1" + b"b" * 100)
    assert same(page, b"a" * 100 + b"1" + b"b" * 100)
    assert not same(page, b"a" * 100 + b"2" + b"b" * 100)


def test_every_file_is_made_and_the_table_has_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = script("readme.py", monkeypatch)
    made = {path.name: content.decode() for path, content in whole["contents"]()}
    assert set(made) == {"board.svg", "by-length.svg", "README.md"}
    (place,) = whole["PLACE"].finditer(made["README.md"])
    records = (ROOT / "leaderboard" / "records" / "lra" / "listops").iterdir()
    assert all(f"| {path.name}" in place[0] for path in records)
    assert made["board.svg"].startswith("<svg")
