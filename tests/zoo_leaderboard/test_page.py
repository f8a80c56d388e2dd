"""The page: offline, and no name in a record is more than text in it."""

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from zoo.record import Record
from zoo_leaderboard import bundle as chart
from zoo_leaderboard.document import document
from zoo_leaderboard.page import SCRIPTS, digest, island, own, page
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
DECLARED = r"^(?:async )?(?:function|const|let) +(\w+)"
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


def seen(runs: Path, live: bool = False) -> Seen:
    found = Seen()
    found.feed(page(board(runs), vega="/* chart */", live=live).decode())
    return found


def content(found: Seen) -> dict[str, Any]:
    (island,) = [script for script in found.scripts if script.startswith("{")]
    loaded: dict[str, Any] = json.loads(island)
    return loaded


def test_what_a_record_says_stands_in_the_island_alone(runs: Path, put: Put) -> None:
    put(mixer="plain")
    plain = seen(runs)
    for i, name in enumerate(HOSTILE):
        put(
            mixer=name, task=f"lra/{name}", task_id=name, protocol=name, family=name, kernel=name,
            device=name, precision=name, headline=name, run_id=f"{i}{name}", options={name: name},
        )  # fmt: skip
        put(mixer="plain", options={"n": name}, status="failed", run_id=f"{i}failed{name}")
    found = seen(runs)
    assert found.elements == plain.elements
    assert found.attributes == plain.attributes
    assert found.text == plain.text
    assert content(found) != content(plain)
    mixers = {
        row["mixer"] for track in content(found)["document"]["tracks"] for row in track["rows"]
    }
    assert mixers == {"plain", *HOSTILE}


def test_the_page_loads_nothing_from_anywhere(runs: Path, put: Put) -> None:
    put()
    found = seen(runs)
    assert not [(name, value) for name, value in found.attributes if name in LOADS | {"style"}]
    assert not {"link", "iframe", "object", "embed", "base", "img", "form"} & {*found.elements}
    assert not any(word in style for style in found.styles for word in ("url(", "@import"))


def rules(found: Seen) -> dict[str, list[str]]:
    policy = next(v for k, v in found.attributes if k == "content" and v and "default-src" in v)
    return {name: values for name, *values in (part.split() for part in policy.split("; "))}


def test_the_policy_admits_the_very_scripts_and_styles_of_the_page(runs: Path, put: Put) -> None:
    put()
    for live in (False, True):
        found = seen(runs, live)
        ours = [digest(script) for script in found.scripts if not script.startswith("{")]
        allowed = rules(found)
        assert allowed.pop("connect-src", None) == (["'self'"] if live else None)
        assert allowed == {
            "default-src": ["'none'"],
            "script-src": ours,
            "style-src": [digest(style) for style in found.styles],
            "img-src": ["data:", "blob:"],
            "base-uri": ["'none'"],
            "form-action": ["'none'"],
        }
        assert len(ours) == (3 if live else 2)


def test_a_digest_is_the_one_that_the_standard_gives() -> None:
    expected = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    assert digest("alert('Hello, world.');") == expected


def test_no_two_rooms_of_the_script_use_one_name() -> None:
    """They share a scope, in which a second declaration stops the whole page."""
    rooms = [own(f"js/{name}.js") for name in SCRIPTS]
    found = Counter(name for room in rooms for name in re.findall(DECLARED, room, re.MULTILINE))
    assert len(found) > 50
    assert [name for name, count in found.items() if count > 1] == []


def test_no_script_takes_text_for_markup() -> None:
    every = "".join(own(f"js/{name}.js") for name in SCRIPTS)
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert way not in every, way


def test_the_island_holds_what_the_json_holds(runs: Path, put: Put) -> None:
    put(0.25, mixer=HOSTILE[0])
    assert content(seen(runs))["document"] == json.loads(json.dumps(document(board(runs))))


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
    rows = content(seen(runs))["document"]["tracks"][0]["rows"]
    assert {row["options"]["name"] for row in rows} == {"\ud800", "there"}


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
