"""The page's other views, in a real browser."""

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

Show = Callable[[str], Page]


def test_a_suite_says_why_a_cell_has_no_score(show: Show) -> None:
    shown = show("view=suites")
    (suite,) = shown.locator("table.suite").all()
    cells = {
        row.locator("th").inner_text().split("\n")[0]: [
            c.inner_text() for c in row.locator("td").all()
        ]
        for row in suite.locator("tbody tr").all()
    }
    assert any("failed" in cell for cell in cells["longformer"])
    assert any("missing" in cell for cell in cells["s4d"])
    assert all(cell.strip() for row in cells.values() for cell in row)
    assert suite.locator("td.front").count() > 0


def test_a_profile_has_charts_verdicts_and_words_for_what_is_missing(
    show: Show, until: Any
) -> None:
    shown = show("view=efficiency")
    assert shown.locator("#view-efficiency .plot svg").count() >= 3
    lengths = shown.locator("table.lengths")
    assert lengths.locator(".miss").inner_text() == "out of memory"
    assert lengths.locator(".miss").get_attribute("title") == "<i>no</i> memory left"
    assert "✓ yes" in shown.locator("table.growth").inner_text()
    shown.locator(".view:not([hidden]) select").last.select_option("mfu")
    until(shown, "document.querySelector('table.lengths td').textContent.includes('%')")
    assert "overtake" in shown.locator("#view-efficiency").inner_text()


def test_published_shows_ours_beside_theirs_and_why_not(show: Show, until: Any) -> None:
    shown = show("view=published")
    marks = shown.evaluate(
        "[...document.querySelectorAll('.dots .role-mark.mark-symbol path')]"
        ".map((path) => path.__data__.datum)"
    )
    ours = [one for one in marks if one.get("comparable") is not None]
    assert ours
    assert len(marks) > len(ours)
    table = shown.locator("table.published").first
    assert "not comparable because" in table.inner_text()
    assert table.locator("a[rel=noreferrer]").count() > 0
    select = shown.locator(".view:not([hidden]) select")
    other = select.locator("option").nth(3)
    select.select_option(other.get_attribute("value"))
    until(
        shown,
        f"document.querySelector('.dots h2').textContent === {json.dumps(other.inner_text())}",
    )


def test_findings_have_a_verdict_in_words_and_a_command(show: Show, until: Any) -> None:
    shown = show("view=findings")
    cards = shown.locator("article.finding")
    assert cards.count() > 5
    known = {"supported", "contradicted", "not enough runs"}
    assert {one.split("\n")[-1] for one in shown.locator(".verdict").all_inner_texts()} <= known
    command = shown.locator(".command").first
    command.locator("button").click()
    until(shown, "document.querySelector('.command button').textContent === 'copied'")
    assert shown.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()


def test_no_table_of_evidence_is_wider_than_its_card(show: Show) -> None:
    cut = """() => [...document.querySelectorAll(".finding .wide")]
      .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth).length"""
    shown = show("view=findings")
    assert shown.locator(".finding .wide").count() > 0
    shown.locator(".finding details").evaluate_all(
        "(all) => all.map((one) => { one.open = true; })"
    )
    assert shown.evaluate(cut) == 0


def test_a_value_printed_in_percent_stands_as_a_share_too(show: Show) -> None:
    table = show("view=published").locator("table.published").first
    assert "63.14\n= 0.631, 5 seeds" in table.inner_text()
