"""The page for everyone: screen readers, phones, dark rooms, paper, hostile names, long boards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from zoo.record import Record
from zoo_leaderboard.arrange import arrange
from zoo_leaderboard.page import page
from zoo_leaderboard.read import Board, board

Put = Callable[..., Record]
Open = Callable[..., Page]
COMMITTED = Path(__file__).parents[3] / "leaderboard" / "records"
WHOLE = "document.documentElement.scrollWidth <= innerWidth"
SMALL = """() => [...document.querySelectorAll("button, select, summary, [type=search]")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 24)
  .map((one) => one.outerHTML.slice(0, 120))"""
CUT = """() => [...document.querySelectorAll(".view:not([hidden]) .plot svg")].flatMap((svg) => {
  const { left, right } = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < left - 1 || box.right > right + 1;
  }).map((text) => text.textContent);
})"""  # words in charts that its edge cuts
PAPER = "getComputedStyle(document.body).backgroundColor"
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}${7*7}",
    "=cmd()",
    "a\u202eb\u200b",
    "line\u2028end",
    "__proto__",
    "constructor",
    "a" * 2000,
    "long " * 400,
]


@pytest.fixture(scope="module")
def committed() -> bytes:
    """The page of the records in the repository, charts and all."""
    return page(board(COMMITTED))


def ready(shown: Page) -> Page:
    shown.wait_for_selector("html[data-ready]")
    return shown


def views(shown: Page) -> list[str]:
    return [tab.get_attribute("id") or "" for tab in shown.get_by_role("tab").all()]


def visit(shown: Page, tab: str) -> None:
    """Show a view and wait until its charts stand."""
    shown.locator(f"#{tab}").click()
    panel = shown.locator(f"#{tab.replace('tab', 'view')}")
    if panel.locator(".plot").count():
        panel.locator(".plot:visible svg").first.wait_for()


def violations(shown: Page, rule: str = "") -> list[str]:
    options = {"runOnly": {"type": "rule", "values": [rule]}} if rule else None
    found = Axe().run(shown, options=options).response["violations"]
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}" for one in found]


@pytest.mark.parametrize(("scheme", "rule"), [("light", ""), ("dark", "color-contrast")])
def test_axe_finds_nothing_in_any_view(
    rich: Board, open_page: Open, scheme: str, rule: str
) -> None:
    """Every rule once; in the dark the colours are all that differs."""
    shown = ready(open_page(rich, color_scheme=scheme))
    for tab in views(shown):
        visit(shown, tab)
        assert violations(shown, rule) == [], tab
    shown.locator("#tab-board").click()
    shown.locator("#track").select_option(index=3)  # LRA: five rows
    for i in range(3):
        shown.locator(".rows input").nth(i).check()
    shown.locator(".menu summary", has_text="Columns").click()
    assert violations(shown, rule) == []
    shown.locator(".rows .open").first.click()
    assert violations(shown, rule) == []


def test_a_phone_sees_everything_without_scrolling_sideways(
    committed: bytes, open_page: Open, drawn: Any
) -> None:
    shown = ready(open_page(committed, width=390, height=844, has_touch=True))
    for tab in views(shown):
        visit(shown, tab)
        assert shown.evaluate(WHOLE), tab
        small = shown.evaluate(SMALL)
        assert small == [], tab
        drawn(shown)
        assert shown.evaluate(CUT) == [], tab
    shown.locator("#tab-board").click()
    shown.locator(".menu summary", has_text="Save as").tap()
    assert shown.evaluate(WHOLE)
    shown.locator(".rows .open").first.tap()
    assert shown.evaluate(WHOLE)
    body = shown.locator("dialog[open] .body")
    assert body.evaluate("(one) => one.scrollWidth <= one.clientWidth")


def test_paper_gets_the_table_and_no_buttons(rich: Board, open_page: Open, drawn: Any) -> None:
    shown = drawn(ready(open_page(rich, color_scheme="dark")))
    rows = shown.locator(".rows tbody tr").count()
    shown.emulate_media(media="print", color_scheme="dark")
    for hidden in (".controls", "#tabs", "#keys", ".rows td.pick"):
        assert not shown.locator(hidden).first.is_visible(), hidden
    assert shown.locator(".rows tbody tr:visible").count() == rows
    assert shown.evaluate(PAPER) == "rgb(255, 255, 255)"
    # Drawn for the dark: its light lines are turned around, and words in colour are the day's.
    assert "invert" in shown.locator(".pareto svg").evaluate(
        "(one) => getComputedStyle(one).filter"
    )
    colours = [
        shown.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')")
        for name in ("good", "warn", "mark")
    ]
    assert colours == ["#17693f", "#7a4b00", "#e7f0f8"]


def test_what_is_folded_is_open_on_paper_alone(rich: Board, open_page: Open) -> None:
    shown = ready(open_page(page(rich, vega=""), "view=published"))
    folded = shown.locator(".view details:not([open])").count()
    assert folded
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator(".view details:not([open])").count() == 0
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.locator(".view details:not([open])").count() == folded


def test_names_that_mean_harm_are_text_in_every_view(runs: Path, put: Put, open_page: Open) -> None:
    for i, name in enumerate(HOSTILE):
        put(
            0.5 + i / 100, mixer=name, family=name, kernel=name, options={name: name},
            config={name: name, "nested": {"name": name, name: [name]}}, run_id=f"{i}{name}",
            curve={8: 0.5, 16: 0.25}, losses={1: 2.0, 2: 1.0},
        )  # fmt: skip
        put(status="failed", mixer=name, family=name, seed=1, run_id=f"{i}failed", kernel=name)
    put(
        task=f"lra/{HOSTILE[0]}", task_id=HOSTILE[1], protocol=HOSTILE[0], device=HOSTILE[1],
        precision=HOSTILE[0], headline=HOSTILE[1], budget=HOSTILE[0], mixer=HOSTILE[0],
    )  # fmt: skip
    (runs / "bad").mkdir()
    (runs / "bad" / "record.json").write_text("<script>alert(2)</script>")
    shown = ready(open_page(board(runs)))
    for track in (0, 1):
        shown.locator("#tab-board").click()
        shown.locator("#track").select_option(index=track)
        for tab in views(shown):
            visit(shown, tab)
        shown.locator("#tab-board").click()
        for box in shown.locator(".rows input").all():
            box.check()
        assert shown.evaluate(WHOLE)
        assert shown.locator(".rows tr").evaluate_all(
            "(all) => all.every((one) => one.offsetHeight < 250)"
        )
        assert shown.locator(".compare tbody th").evaluate_all(
            "(all) => all.every((one) => one.scrollWidth <= one.clientWidth + 1)"
        )
        shown.locator(".rows .open").first.click()
        shown.keyboard.press("Escape")
    shown.locator("#track").select_option(index=1)
    text = shown.locator(".rows").inner_text()
    for name in HOSTILE:
        assert name.replace("\u2028", "") in text.replace("\u2028", "").replace("\n", ""), name
    assert not shown.locator("main img, main script, dialog img").count()
    links = shown.locator("a").evaluate_all("(all) => all.map((one) => one.protocol)")
    assert set(links) <= {"https:"}
    for kind in ("csv", "markdown"):
        shown.locator(".menu", has_text="Save as").evaluate("(one) => { one.open = true; }")
        with shown.expect_download() as waiting:
            shown.locator(f"#{kind}").click()
        made = Path(waiting.value.path()).read_text(encoding="utf-8")
        assert ("'=cmd()" if kind == "csv" else "&#60;script&#62;") in made


def test_an_empty_board_says_how_to_fill_it(open_page: Open) -> None:
    shown = ready(open_page(Board((), (), ())))
    assert "zoo run" in shown.locator("main").inner_text()
    assert violations(shown) == []


def test_three_thousand_rows_are_all_there(open_page: Open, make: Any) -> None:
    # No files: writing 3,000 would be most of the test.
    records = [make(i / 3000, mixer=f"mixer{i}", params=i, run_id=f"{i:06d}") for i in range(3000)]
    shown = ready(open_page(page(Board(arrange(records)[0], (), ()), vega="")))
    rows = shown.locator(".rows tbody tr")
    assert shown.locator(".rows table").get_attribute("aria-rowcount") == "3002"  # head and chance
    first = rows.count()
    assert 100 <= first < 1000
    rows.last.scroll_into_view_if_needed()
    expect(rows.nth(first)).to_be_attached()
    shown.get_by_label("Search").fill("mixer1")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")  # on paper nothing can be scrolled to
    expect(rows).to_have_count(1111 + 1)
    shown.get_by_label("Search").fill("mixer299")
    expect(rows).to_have_count(11 + 1)
    shown.get_by_label("Search").fill("")
    shown.get_by_role("button", name="parameters").click()
    assert rows.first.inner_text().split()[1] == "mixer0"


def test_a_long_table_stays_where_it_is_read(open_page: Open, make: Any) -> None:
    records = [make(i / 600, mixer=f"mixer{i}", run_id=f"{i:06d}") for i in range(600)]
    shown = ready(open_page(page(Board(arrange(records)[0], (), ()), vega="")))
    rows = shown.locator(".rows tbody tr")
    for _ in range(2):
        rows.last.scroll_into_view_if_needed()
        shown.wait_for_timeout(100)
    at, row = shown.evaluate("scrollY"), rows.nth(299)
    assert row.count()
    row.scroll_into_view_if_needed()
    row.locator("input").check()
    assert "picked" in (row.get_attribute("class") or "")
    row.locator(".open").click()
    shown.keyboard.press("Escape")
    assert abs(shown.evaluate("scrollY") - at) < 900
    row.focus()
    shown.keyboard.press("Space")
    assert "picked" not in (row.get_attribute("class") or "")
    assert shown.evaluate("document.activeElement.className").startswith("chosen") or row.evaluate(
        "(one) => one === document.activeElement"
    )


def test_a_track_of_smoke_wears_a_banner(runs: Path, put: Put, open_page: Open) -> None:
    put(budget="smoke")
    shown = ready(open_page(page(board(runs), vega="")))
    assert "not a result" in shown.locator(".head .banner").inner_text()
