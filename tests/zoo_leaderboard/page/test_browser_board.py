"""The board in a real browser: sorted, filtered, compared, linked to and saved."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from zoo.record import Record
from zoo_leaderboard.page import page
from zoo_leaderboard.read import board
from zoo_leaderboard.spreadsheet import table
from zoo_leaderboard.statistics import compare, holm

Put = Callable[..., Record]
Open = Callable[..., Page]
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


@pytest.fixture
def zoo(runs: Path, put: Put) -> Path:
    """Six rows on one track: ties, a failure, a missing cost, two families; and a second track."""
    table: list[tuple[str, str, Sequence[float], int | None]] = [
        ("mamba", "ssm", (0.90, 0.92, 0.91), 300),
        ("s4", "ssm", (0.90, 0.92, 0.91), 300),
        ("attention", "attention", (0.80, 0.83, 0.85), 200),
        ("linear", "attention", (0.70, 0.74, 0.75), 900),
        ("unmeasured", "conv", (0.60, 0.61), None),
    ]
    for name, family, values, params in table:
        for seed, value in enumerate(values):
            put(value, mixer=name, family=family, seed=seed, params=params, speed=params)
    put(None, mixer="broken", family="conv", status="diverged", params=50)
    put(0.5, task="copy", task_id="c" * 12, mixer="mamba", seed=7)
    return runs


@pytest.fixture
def opened(zoo: Path, open_page: Open) -> Callable[..., Page]:
    """The board without its charts, which most tests do not need."""

    def show(hash: str = "", **options: Any) -> Page:
        content = page(board(zoo), vega="")
        shown = open_page(content, hash, **options)
        shown.set_default_timeout(4_000)
        shown.wait_for_selector("html[data-ready]")
        if not hash:
            shown.locator("#track").select_option(index=1)
        return shown

    return show


def names(shown: Page) -> list[str]:
    """The rows as they stand, chance among them."""
    return [text.split("\n")[0] for text in shown.locator(".rows tbody th.name").all_inner_texts()]


def sorts(shown: Page) -> dict[str, str]:
    heads = shown.locator(".rows th[aria-sort]")
    return {
        head.inner_text(): head.get_attribute("aria-sort") or "" for head in heads.all()
    }  # one column at most


def marked(shown: Page, column: str) -> set[str]:
    rows = shown.locator(f".rows tr:has(td.c-{column}.front) th.name bdi").all_inner_texts()
    return {text for text in rows if "·" not in text}


def test_rows_stand_by_rank_with_chance_among_them_and_failures_last(opened: Any) -> None:
    shown = opened()
    assert [name.split()[0] for name in names(shown)] == [
        "mamba", "s4", "attention", "linear", "unmeasured", "chance", "broken",
    ]  # fmt: skip
    last = shown.locator(".rows tbody tr").last
    assert "diverged" in last.inner_text()
    assert "0/1" in last.inner_text()


def test_a_click_sorts_the_best_first_and_what_is_missing_last(opened: Any) -> None:
    shown = opened()
    shown.get_by_role("button", name="parameters").click()
    first = [name.split()[0] for name in names(shown)]
    assert first[:2] == ["broken", "attention"]
    assert set(first[-2:]) == {"unmeasured", "chance"}
    assert list(sorts(shown).values()) == ["ascending"]
    shown.get_by_role("button", name="parameters").click()
    second = [name.split()[0] for name in names(shown)]
    assert second[0] == "linear"
    assert set(second[-2:]) == {"unmeasured", "chance"}
    assert list(sorts(shown).values()) == ["descending"]


def test_the_keyboard_sorts_and_keeps_its_place(opened: Any) -> None:
    shown = opened()
    shown.get_by_role("button", name="mixer").focus()
    shown.keyboard.press("Enter")
    assert names(shown)[0].startswith("attention")
    shown.keyboard.press("Enter")
    assert names(shown)[0].startswith("unmeasured")
    assert shown.evaluate("document.activeElement.innerText").startswith("mixer")


def test_search_and_families_leave_rows_and_say_how_many(opened: Any) -> None:
    shown = opened()
    shown.keyboard.press("/")
    shown.keyboard.type("ATTENTION")
    assert [name.split()[0] for name in names(shown) if name != "chance"] == ["attention", "linear"]
    assert shown.get_by_role("status").inner_text() == "2 of 6 rows"
    shown.get_by_label("Search").fill("")
    shown.locator(".chip", has_text="conv").click()
    assert {name.split()[0] for name in names(shown)} == {"unmeasured", "broken", "chance"}
    shown.locator(".chip", has_text="conv").click()
    assert shown.get_by_role("status").inner_text() == "6 rows"


def test_the_front_is_of_the_rows_left_and_keeps_ties(opened: Any) -> None:
    shown = opened()
    assert marked(shown, "params") == {"mamba", "s4", "attention"}
    shown.get_by_label("Search").fill("attention")
    assert marked(shown, "params") == {"attention"}
    shown.get_by_label("Search").fill("linear")
    assert marked(shown, "params") == {"linear"}
    shown.get_by_label("Search").fill("")
    shown.get_by_label("front only").check()
    # The pair of the chart: score against tokens/s, of which more is better.
    assert {name.split()[0] for name in names(shown)} == {"mamba", "s4", "linear"}
    assert "only=1" in shown.url


def test_the_difference_shown_is_the_one_that_python_finds(opened: Any, zoo: Path) -> None:
    shown = opened()
    for label in ("Compare mamba", "Compare attention", "Compare unmeasured"):
        shown.get_by_label(label).check()
    rows = {row.label: row.values for row in board(zoo).tracks[1].rows}
    paired = compare(rows["attention"], rows["mamba"])
    welch = compare(rows["unmeasured"], rows["mamba"])
    assert (paired.test, welch.test) == ("paired t", "Welch")
    adjusted = holm([paired.p, welch.p])
    lines = shown.locator(".comparison tbody tr")
    for line, found, p in zip(lines.all(), (paired, welch), adjusted, strict=True):
        text = line.inner_text()
        assert found.difference is not None
        assert f"{MINUS}{abs(found.difference):.3g}" in text
        assert found.test is not None
        assert found.test in text
        assert p is not None
        assert (f"{p:.3f}" if p >= 0.001 else "< 0.001") in text
    assert f"{TIMES}0.667" in lines.first.inner_text()  # 200 parameters over 300
    shown.locator(".comparison select").select_option("attention")
    assert f"+{abs(paired.difference or 0):.3g}" in lines.first.inner_text()


def test_a_link_brings_back_what_was_seen(opened: Any) -> None:
    shown = opened()
    shown.get_by_label("Search").fill("a")
    shown.get_by_role("button", name="parameters").click()
    shown.get_by_label("Compare mamba").check()
    shown.get_by_label("Compare attention").check()
    shown.locator(".menu summary", has_text="Columns").click()
    shown.get_by_role("checkbox", name="peak memory").uncheck()
    shown.locator(".rows .open", has_text="attention").click()
    again = opened(shown.url.partition("#")[2])
    assert again.locator("dialog[open] h2").inner_text() == "attention"
    assert again.locator(".comparison tbody tr").count() == 1
    assert sorts(again) == sorts(shown)
    assert names(again) == names(shown)
    assert "peak memory" not in again.locator(".rows thead").inner_text()
    for part in (".head", ".rows", ".comparison", "dialog[open]"):
        assert again.locator(part).inner_text() == shown.locator(part).inner_text()


def test_nonsense_in_the_address_is_harmless(opened: Any) -> None:
    shown = opened(
        "track=none&view=constructor&x=evil&sort=-toString&picked=ghost&open=ghost&hide=q"
    )
    assert shown.locator(".rows tbody tr").count() > 0
    assert not shown.locator("dialog[open]").count()


def saved(shown: Page, kind: str) -> tuple[str, str]:
    if not shown.locator("#csv").is_visible():
        shown.locator(".menu summary", has_text="Save as").click()
    with shown.expect_download() as waiting:
        shown.get_by_role("button", name=kind, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes().decode()


def test_files_hold_the_rows_as_filtered_and_sorted(opened: Any) -> None:
    shown = opened("")
    shown.get_by_label("Search").fill("ssm")
    shown.get_by_role("button", name="mixer").click()
    shown.get_by_role("button", name="mixer").click()
    name, text = saved(shown, "CSV")
    assert name.startswith("leaderboard-lra-listops-zoo-cpu-")
    assert name.endswith(".csv")
    written = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(line["label"], line["params"], line["seeds"]) for line in written] == [
        ("s4", "300", "0 1 2"),
        ("mamba", "300", "0 1 2"),
    ]
    name, text = saved(shown, "JSON")
    assert [row["label"] for row in json.loads(text)["rows"]] == ["s4", "mamba"]
    assert json.loads(text)["task"] == "lra/listops"
    name, text = saved(shown, "Markdown")
    lines = text.splitlines()
    assert lines[0] == "### lra/listops, protocol zoo, budget cpu"
    assert lines[4].startswith("| 1 | s4 | 0.910 | 0.885–0.935 | 3/3 | 300 |")  # noqa: RUF001
    assert (
        lines[-1] == "cpu: 2 cores, fp32, id 0123456789ab; accuracy: more is better, chance 0.100"
    )
    name, text = saved(shown, "LaTeX")
    assert name.endswith(".tex")
    assert r"1 & s4 & 0.910 & 0.885--0.935 & 3/3 & 300 &" in text
    assert r"95 \% interval" in text


def test_the_csv_is_that_of_the_command(opened: Any, zoo: Path, put: Put) -> None:
    for rate, valid in ((0.001, 0.5), (0.003, 0.7)):
        for seed in (0, 1):
            put(valid, valid=valid, mixer="swept", seed=seed, lr=rate)
    put(0.1, mixer="\uff1dwide", curve={1: 0.5, 2: 0.25}, trained_to=1)

    def cells(text: str) -> list[dict[str, str]]:
        def plain(cell: str) -> str:
            try:
                return str(float(cell))
            except ValueError:
                return cell.lower()

        found = csv.DictReader(io.StringIO(text, newline=""))
        return [{key: plain(value) for key, value in line.items()} for line in found]

    _, text = saved(opened(), "CSV")
    wanted = [line for line in cells(table(board(zoo))) if line["task"] == "lra/listops"]
    assert cells(text) == wanted


def test_the_keyboard_alone_goes_everywhere(opened: Any) -> None:
    shown = opened()
    shown.get_by_role("tab", name="Board").focus()
    shown.keyboard.press("ArrowRight")
    assert shown.get_by_role("tab", selected=True).inner_text() != "Board"
    shown.keyboard.press("Home")
    assert shown.get_by_role("tab", selected=True).inner_text() == "Board"
    shown.locator(".rows tbody tr").first.focus()
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("Space")
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("Space")
    assert shown.locator(".rows tr.picked").count() == 2
    assert shown.locator(".comparison tbody tr").count() == 1
    assert shown.locator("#picked").is_visible()
    shown.get_by_role("tab", name="Suites").click()
    assert not shown.locator("#picked").is_visible()
    shown.keyboard.press("?")
    assert shown.get_by_role("dialog", name="Keys").is_visible()
    shown.keyboard.press("Escape")
    assert shown.locator("dialog[open]").count() == 0


def test_back_returns_to_the_view_before(opened: Any) -> None:
    shown = opened()
    shown.get_by_role("tab", name="Suites").click()
    assert shown.locator("#view-suites").is_visible()
    shown.go_back()
    assert shown.locator("#view-board").is_visible()
