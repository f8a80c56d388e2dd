"""The page: offline, and no name in a record is more than text in it."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from zoo.record import Record
from zoo_leaderboard import bundle as chart
from zoo_leaderboard.page import island, page
from zoo_leaderboard.read import board

Put = Callable[..., Record]
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<!--<script>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "=cmd()",
    "a\u202eb\u200b",
    "line\u2028end",
]
LOADS = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class Seen(HTMLParser):
    """What a browser would find: elements, attributes, text, and what stands in scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        kind = {"script": self.scripts, "style": self.styles}
        inside = self.elements[-1] if self.elements and self.cdata_elem else ""
        kind.get(inside, self.text).append(data)


def seen(runs: Path) -> Seen:
    found = Seen()
    found.feed(page(board(runs), vega="/* chart */").decode())
    return found


def test_every_name_of_a_record_is_text_and_nothing_else(runs: Path, put: Put) -> None:
    put(mixer="plain", options={"n": 0})
    put(mixer="plain", options={"n": 1})
    harmless = seen(runs)
    for i, name in enumerate(HOSTILE):
        put(
            mixer=name, task=f"lra/{name}", task_id=name, protocol=name, family=name, kernel=name,
            device=name, precision=name, headline=name, run_id=f"{i}{name}", options={name: name},
        )  # fmt: skip
        put(mixer="plain", options={"n": name}, status="failed", run_id=f"{i}failed{name}")
    found = seen(runs)
    text = "".join(found.text)
    for name in HOSTILE:
        assert name in text or "plain n=" + name[:15] in text, name
    assert {*found.elements} == {*harmless.elements}
    assert found.elements.count("script") == 3
    assert {name for name, _ in found.attributes} <= {name for name, _ in harmless.attributes}
    assert "49" not in text.split()


def test_the_page_loads_nothing_from_anywhere(runs: Path, put: Put) -> None:
    put()
    found = seen(runs)
    assert not [(name, value) for name, value in found.attributes if name in LOADS]
    assert not {"link", "iframe", "object", "embed", "base", "img", "form"} & {*found.elements}
    assert not any(word in style for style in found.styles for word in ("url(", "@import"))
    policy = next(v for k, v in found.attributes if k == "content" and v and "default-src" in v)
    assert policy.startswith("default-src 'none'; script-src 'unsafe-inline'; ")
    assert "img-src data:" in policy


def test_the_island_holds_what_the_json_holds(runs: Path, put: Put) -> None:
    put(0.25, mixer=HOSTILE[0])
    found = seen(runs)
    (content,) = [json.loads(script) for script in found.scripts if script.startswith("{")]
    (row,) = content["document"]["tracks"][0]["rows"]
    assert (row["mixer"], row["mean"]) == (HOSTILE[0], 0.25)


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800", "&lt;", "\\u003c"])
def test_an_island_is_the_same_json_without_what_ends_a_script(text: str) -> None:
    written = island({text: text})
    assert json.loads(written) == {text: text}
    assert not {"<", ">", "&", "\u2028", "\u2029"} & {*written}


def test_a_lone_surrogate_does_not_stop_the_page(runs: Path, put: Put) -> None:
    put(0.1, options={"name": "here"})
    put(0.2, options={"name": "there"})
    path = runs / "0" / "record.json"
    path.write_text(path.read_text().replace("here", "\\ud800"))
    assert b"&#55296;" in page(board(runs), vega="")


def test_costs_on_the_front_are_marked_and_chance_stands_among_the_rows(
    runs: Path, put: Put
) -> None:
    put(0.9, mixer="good", params=300)
    put(0.5, mixer="beaten", params=300)
    put(0.05, mixer="guesses", params=200, chance=0.1)
    text = page(board(runs), vega="").decode()
    table = text.partition('<table class="board">')[2].partition("</table>")[0]
    rows = table.split("<tr")[2:]
    names = ["good", "beaten", "chance", "guesses"]
    assert [next(name for name in names if f">{name}<" in row) for row in rows] == names
    assert ['data-v="300.0" class="front"' in row for row in rows] == [True, False, False, False]
    assert "not above chance" in rows[3]
    assert "not above chance" not in rows[0]


def test_a_smoke_track_wears_a_banner(runs: Path, put: Put) -> None:
    put(budget="cpu")
    assert "not a result" not in page(board(runs), vega="").decode()
    put(budget="smoke")
    assert page(board(runs), vega="").decode().count('class="banner"') == 2  # track and suite


def test_the_chart_is_made_once_and_then_read_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def make() -> str:
        calls.append(1)
        return "a = '</Script><!--'"

    monkeypatch.setattr(chart, "cached", lambda: tmp_path / "deep" / "vega.js")
    monkeypatch.setattr(chart, "make", make)
    assert chart.bundle() == chart.bundle() == "a = '<\\/Script><\\!--'"
    assert len(calls) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(chart, "cached", lambda: tmp_path / "file" / "vega.js")
    monkeypatch.setattr(chart, "make", lambda: "script")
    assert chart.bundle() == "script"


def test_the_real_chart_brings_vega_and_cannot_end_its_script() -> None:
    made = chart.harmless(chart.make())
    assert "window.vegaEmbed=" in made
    assert "</script" not in made.lower()
    assert "<!--" not in made
