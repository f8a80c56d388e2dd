"""The page's charts, in a real browser: what they show, and what is done with them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page

from zoo.record import Record
from zoo_leaderboard.charts import line, pareto, sweep
from zoo_leaderboard.document import document
from zoo_leaderboard.page import page
from zoo_leaderboard.pareto import front
from zoo_leaderboard.read import Board, board

Put = Callable[..., Record]
Show = Callable[[str], Page]
POINTS = "[...document.querySelectorAll('figure.pareto .role-mark.mark-symbol path')]"


@pytest.fixture(scope="module")
def listops(rich: Board) -> str:
    """The address of the track with published values beside ours."""
    (track,) = [track for track in rich.tracks if track.key.task == "lra/listops"]
    return f"track={track.key.anchor}"


def points(shown: Page) -> list[dict[str, Any]]:
    """The data behind the marks of the Pareto chart, as the browser drew them."""
    found = shown.evaluate(f"{POINTS}.map((path) => path.__data__.datum)")
    return [one for one in found if "label" in one]


def words(shown: Page, where: str) -> list[str]:
    """What is written in the charts there."""
    return [one or "" for one in shown.locator(f"{where} svg text").all_text_contents()]


def mark(shown: Page, test: str) -> None:
    """Give the first point for which it holds an id, so that it can be pointed at."""
    shown.evaluate(f"{POINTS}.find((path) => {test}).setAttribute('id', 'here')")


def test_the_front_is_pythons_whatever_the_axes_and_the_filter(
    put: Put, runs: Path, open_page: Any, drawn: Any
) -> None:
    draw = random.Random(7)
    for i in range(30):
        speed, params = draw.choice((1e3, 2e3, draw.uniform(1e2, 1e4))), draw.randrange(1, 9) * 1000
        put(draw.randrange(1, 10) / 10, mixer=f"m{i:02}", speed=speed, params=params)
    rows = board(runs).tracks[0].rows
    shown = open_page(board(runs))
    signs = {"train_tokens_per_s": 1, "params": -1, "mean": 1}
    for x, y, search in (
        ("train_tokens_per_s", "mean", ""), ("params", "mean", ""), ("params", "mean", "m1"),
        ("params", "train_tokens_per_s", ""), ("train_tokens_per_s", "params", "m2"),
    ):  # fmt: skip
        for axis, key in (("y", y), ("x", x)):
            shown.locator(f"figure.pareto select.{axis}").select_option(key)
        shown.locator("#search").fill(search)
        kept = [row for row in rows if search in row.label]
        values = [
            {"mean": row.summary.mean if row.summary else 0}
            | {key: row.cost(key, None) or 0 for key in ("params", "train_tokens_per_s")}
            for row in kept
        ]
        wanted = {
            kept[i].label for i in front([(signs[x] * v[x], signs[y] * v[y]) for v in values])
        }
        found = points(drawn(shown))
        assert len(found) == len(kept)
        assert {one["label"] for one in found if one["front"]} == wanted
        shown.get_by_label("front only").check()
        marked = shown.locator(".rows tbody tr:not(.chance) th bdi:not(small bdi)")
        assert set(marked.all_inner_texts()) == wanted
        shown.get_by_label("front only").uncheck()


def test_a_row_that_a_log_scale_cannot_show_still_beats_others(
    put: Put, runs: Path, open_page: Any, drawn: Any
) -> None:
    put(0.9, mixer="free", params=0)
    put(0.5, mixer="costly", params=1000)
    shown = drawn(open_page(board(runs), "x=params"))
    assert [(one["label"], one["front"]) for one in points(shown)] == [("costly", False)]
    assert "free" in shown.locator(".pareto figcaption").inner_text()
    shown.locator("figure.pareto input.log").uncheck()
    found = {one["label"]: one["front"] for one in points(drawn(shown))}
    assert found == {"free": True, "costly": False}


def test_axes_may_be_any_pair_and_stand_in_the_address(show: Show, drawn: Any) -> None:
    shown = show("y=params&x=mean&log=0")
    assert any(one.startswith("parameters (less is better") for one in words(shown, ".pareto"))
    shown.locator("figure.pareto select.x").select_option("params")  # the two change places
    assert "x=params" in shown.url
    drawn(shown)
    assert any(one.startswith("parameters (← less is better") for one in words(shown, ".pareto"))
    assert shown.locator("figure.pareto select.y").input_value() == "mean"


def test_published_values_are_hollow_and_can_be_put_away(
    show: Show, drawn: Any, listops: str
) -> None:
    shown = show(listops)
    hollow = [one for one in points(shown) if one.get("hollow")]
    assert {one["label"] for one in hollow} >= {"attention", "mamba", "s4d"}
    assert all(not one["comparable"] and "budget" in one["because"] for one in hollow)
    filling = f"{POINTS}.filter((p) => p.__data__.datum.hollow).map((p) => p.getAttribute('fill'))"
    assert set(shown.evaluate(filling)) <= {"none", "transparent"}
    shown.locator("figure.pareto input.hollow").uncheck()
    drawn(shown)
    assert not any(one.get("hollow") for one in points(shown))


def test_pointing_at_a_published_value_says_why_it_is_not_comparable(
    show: Show, until: Any, listops: str
) -> None:
    shown = show(f"{listops}&filter=s4d")
    assert [one["label"] for one in points(shown)] == ["s4d", "s4d"]
    mark(shown, "path.__data__.datum.hollow")
    shown.locator("#here").hover(force=True)
    until(shown, "document.querySelector('#tip').textContent.includes('budget cpu is not paper')")


def test_the_page_draws_what_python_draws(rich: Board, show: Show) -> None:
    whole = document(rich)
    for one in whole["tracks"]:
        shown = show(f"track={one['track']}&hollow=0&x=params")
        made = {
            "pareto": pareto.chart(whole, one, "params"),
            "curve": line.length(whole, one),
            "losses": line.losses(whole, one),
            "validated": line.validated(whole, one),
            "sweep": sweep.sweep(whole, one),
        }
        for name, spec in made.items():
            figure = shown.locator(f"figure.{name}")
            if spec is None:
                assert not figure.is_visible(), name
                continue
            kind = "mark-line" if name in ("losses", "validated") else "mark-symbol"
            found = shown.evaluate(
                f"[...document.querySelectorAll('figure.{name} .role-mark.{kind} path')]"
                ".flatMap((path) => path.__data__.mark.items.map((one) => one.datum))"
                ".map(({ label, x, y }) => [label, x, y])"
            )
            wanted = [[p["label"], p["x"], p["y"]] for p in spec["datasets"]["points"]]
            assert sorted({tuple(p) for p in found}) == sorted({tuple(p) for p in wanted}), name


def test_the_window_of_good_rates_is_pythons(rich: Board, show: Show) -> None:
    (one,) = [one for one in document(rich)["tracks"] if one["rows"][0]["sweep"]]
    bars = show(f"track={one['track']}").evaluate(
        "[...document.querySelectorAll('.sweep .role-mark.mark-rect path')]"
        ".map((path) => path.__data__.datum)"
    )
    (window,) = sweep.window(one["rows"][0])
    assert [(bar["from"], bar["to"]) for bar in bars] == [(window["from"], window["to"])]
    assert (window["from"], window["to"]) == (1e-3, 3e-3)


def test_a_click_on_a_point_opens_its_row(show: Show, until: Any, listops: str) -> None:
    shown = show(f"{listops}&hollow=0")
    mark(shown, "path.__data__.datum.label === 'mamba'")
    shown.locator("#here").click(force=True)
    until(shown, "location.hash.includes('open=mamba')")
    assert shown.locator("dialog[open] h2").inner_text() == "mamba"


def test_every_chart_is_saved_as_a_whole_file(show: Show) -> None:
    shown = show("")
    for kind in ("SVG", "PNG"):
        with shown.expect_download() as waiting:
            shown.locator(".pareto .tools button", has_text=kind).click()
        assert waiting.value.suggested_filename.endswith(f".{kind.lower()}")
        content = Path(waiting.value.path()).read_bytes()
        if kind == "SVG":
            assert ElementTree.fromstring(content).tag.endswith("svg")
        else:
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            assert content.rstrip().endswith(b"IEND\xaeB`\x82")


def test_a_search_leaves_only_its_lines(show: Show, listops: str) -> None:
    shown = show(f"{listops}&filter=mamba")
    labels = shown.evaluate(
        "[...document.querySelectorAll('.curve .role-mark.mark-symbol path')]"
        ".map((path) => path.__data__.datum.label)"
    )
    assert set(labels) == {"mamba"}
    assert "trained to here" in words(shown, ".curve")


def test_what_changes_no_chart_leaves_it_standing(show: Show, drawn: Any, until: Any) -> None:
    shown = show("")
    light = shown.locator(".pareto .mark-symbol path").first.get_attribute("fill")
    shown.evaluate("document.querySelector('.pareto svg').id = 'first'")
    shown.locator("table.board thead button").first.click()
    assert "sort=" in drawn(shown).url
    assert shown.locator("#first").count() == 1
    shown.emulate_media(color_scheme="dark")  # the browser tells of it in a frame
    until(shown, "document.getElementById('first') === null")
    drawn(shown)
    assert shown.locator(".pareto .mark-symbol path").first.get_attribute("fill") != light
    shown.emulate_media(color_scheme="light")


def test_a_chart_out_of_sight_keeps_its_width(show: Show, until: Any) -> None:
    shown = show("")
    width = "document.querySelector('.pareto svg').getBoundingClientRect().width"
    before = shown.evaluate(width)
    assert before > 1000
    shown.locator("#tab-suites").click()
    for wide in (1000, 1280):
        shown.set_viewport_size({"width": wide, "height": 900})
        shown.wait_for_timeout(100)  # the browser tells of it in a frame
    shown.locator("#tab-board").click()
    until(shown, f"{width} === {before}")


def test_typing_leaves_one_chart_and_the_last(show: Show, drawn: Any, listops: str) -> None:
    shown = show(listops)
    shown.locator("#search").press_sequentially("mamba")
    drawn(shown)
    assert shown.locator(".pareto .plot svg").count() == 1
    assert {one["label"] for one in points(shown)} == {"mamba"}


def test_a_chart_that_cannot_be_drawn_says_so(rich: Board, open_page: Any, drawn: Any) -> None:
    vega = (
        "window.vegaEmbed = async () => { throw new Error('no <b>room</b>'); };"
        "console.error = () => {};"
    )
    shown = drawn(open_page(page(rich, vega=vega)))
    assert "No chart: no <b>room</b>" in shown.locator(".pareto .plot").inner_text()
    assert shown.locator(".rows tbody tr").count() > 0


def test_names_that_bite_are_text_in_charts_and_tables(
    show: Show, listops: str, hostile: str
) -> None:
    shown = show(listops)
    assert shown.locator("img").count() == 0
    assert any(one.startswith(hostile[:20]) for one in words(shown, ".curve"))
    assert show("view=suites").locator("#view-suites").get_by_text(hostile).is_visible()


def test_smoke_is_written_into_the_chart(rich: Board, show: Show) -> None:
    (track,) = [track for track in rich.tracks if track.key.note]
    assert "smoke: not a result" in words(show(f"track={track.key.anchor}"), ".pareto")
