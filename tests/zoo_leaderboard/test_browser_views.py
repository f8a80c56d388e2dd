"""The page's charts and its other views, in a real browser."""

import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from zoo.profile.record import Machine, Miss, Point, Profile, Timing
from zoo_leaderboard.charts import line, pareto, sweep
from zoo_leaderboard.document import document
from zoo_leaderboard.pareto import front
from zoo_leaderboard.read import Board, board

HOSTILE = "</script><img src=x onerror=alert(1)>\u202eabc"
VIEWS = ("board", "suites", "efficiency", "published", "findings")
POINTS = "[...document.querySelectorAll('figure.pareto .role-mark.mark-symbol path')]"


@pytest.fixture
def rich(put: Any, runs: Path) -> Board:
    """Something of everything: suites, curves, sweeps, profiles, failures, names that bite."""
    for seed in range(3):
        for i, (mixer, family) in enumerate(
            (("attention", "attention"), ("mamba", "ssm"), ("s4d", "ssm"), (HOSTILE, "x<b>"))
        ):
            more = {"seed": seed, "mixer": mixer, "family": family, "speed": 1000.0 + 300 * i}
            curve = {n: 0.9 - n * i / 200 for n in (8, 16, 32)}
            score = 0.4 + i / 20 + seed / 100
            put(score, **more, curve=curve, trained_to=8, averages={"Avg5": ["lra/listops"]})
            if i < 2:
                put(score, **more, task="lra/image")
    put(None, mixer="longformer", status="oom", family="sparse")
    put(0.5, task="copy", budget="smoke")
    for lr, valid in ((1e-4, 0.3), (1e-3, 0.8), (3e-3, 0.79), (1e-2, 0.2)):
        for seed in range(2):
            course = {step: 3 / step + seed / 9 for step in (1, 10, 100)}
            scores = {step: valid * (1 - 1 / step) for step in (1, 10, 100)}
            put(
                valid - 0.1, task="copy", seed=seed, lr=lr, valid=valid + seed / 100,
                losses=course, validated=scores,
            )  # fmt: skip
    for name, times in (("attention", (1.0, 2.0, 5.0, 17.0, 66.0, 260.0)), ("mamba", None)):
        place = runs / "profiles" / name / "profile.json"
        place.parent.mkdir(parents=True)
        place.write_text(profile(name, times).model_dump_json())
    return board(runs)


def profile(mixer: str, times: tuple[float, ...] | None) -> Profile:
    """Costs at six lengths; the longest ran out of memory where no times are given."""
    points = []
    for i in range(6):
        ms = times[i] if times else 3.0 * 2**i
        full = not times and i == 5
        timing = Timing(median=ms, low=ms * 0.9, high=ms * 1.1, n=7)
        point = Point(
            length=256 * 2**i,
            forward_ms=None if full else timing,
            missing={"forward_ms": Miss(kind="oom", reason="<i>no</i> memory left")}
            if full
            else {},
            forward_bytes=10_000 * 2**i,
            flops=1e6 * 4**i,
            moved_bytes=1e5 * 2**i,
            least_bytes=1e4 * 2**i,
        )
        points.append(point)
    return Profile(
        profile_id=f"{mixer}-1",
        session="2026-11-20T10:00:00+00:00",
        subject="mixer",
        mixer=mixer,
        options={},
        position="none",
        family="attention" if times else "ssm",
        kernel="torch",
        complexity="l^2" if times else "l",
        dim=256,
        depth=1,
        batch=1,
        direction="causal",
        params=1000,
        points=points,
        machine=Machine(
            device="cpu: 2 cores", precision="fp32", torch="2.13", python="3.11", threads=2,
            matmul_flops=1e11, bandwidth=1e10,
        ),
    )  # fmt: skip


def until(page: Page, condition: str) -> None:
    """Wait for it; Playwright's own way evaluates strings, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def drawn(page: Page, count: int = 1) -> None:
    """Wait until that many charts are there; a button for saving comes with each."""
    until(
        page,
        f"document.querySelectorAll('.view:not([hidden]) .tools button').length >= {2 * count}",
    )


def points(page: Page) -> list[dict[str, Any]]:
    """The data behind the marks of the Pareto chart, as the browser drew them."""
    drawn(page)
    found = page.evaluate(f"{POINTS}.map((path) => path.__data__.datum)")
    return [one for one in found if "label" in one]


def words(page: Page, where: str) -> list[str]:
    """What is written in the charts there."""
    return [one or "" for one in page.locator(f"{where} svg text").all_text_contents()]


def test_the_front_is_pythons_whatever_the_axes_and_the_filter(
    put: Any, runs: Path, open_page: Any
) -> None:
    draw = random.Random(7)
    for i in range(30):
        speed, params = draw.choice((1e3, 2e3, draw.uniform(1e2, 1e4))), draw.randrange(1, 9) * 1000
        put(draw.randrange(1, 10) / 10, mixer=f"m{i:02}", speed=speed, params=params)
    whole = board(runs)
    rows = whole.tracks[0].rows
    page = open_page(whole)
    for x, less, search in (
        ("train_tokens_per_s", False, ""), ("params", True, ""), ("params", True, "m1"),
    ):  # fmt: skip
        page.locator("figure.pareto select.x").select_option(x)
        page.locator("#search").fill(search)
        shown = [row for row in rows if search in row.label]
        spots = [
            ((-1 if less else 1) * (row.cost(x, None) or 0), row.summary.mean if row.summary else 0)
            for row in shown
        ]
        wanted = {shown[i].label for i in front(spots)}
        until(
            page,
            f"{POINTS}.filter((path) => path.__data__.datum.front !== undefined).length"
            f" === {len(shown)}",
        )
        until(
            page,
            f"{POINTS}.every((path) => {json.dumps(sorted(wanted))}"
            ".includes(path.__data__.datum.label) === path.__data__.datum.front)",
        )
        assert {one["label"] for one in points(page) if one["front"]} == wanted


def test_axes_may_be_any_pair_and_stand_in_the_address(rich: Board, open_page: Any) -> None:
    page = open_page(rich, "y=params&x=mean&log=0")
    drawn(page)
    assert any(one.startswith("parameters (less is better") for one in words(page, ".pareto"))
    page.locator("figure.pareto select.x").select_option("params")  # the two change places
    until(page, "location.hash.includes('x=params')")
    until(
        page,
        "[...document.querySelectorAll('.pareto svg text')]"
        ".some((one) => one.textContent.startsWith('parameters (← less is better'))",
    )
    assert page.locator("figure.pareto select.y").input_value() == "mean"


def test_published_values_are_hollow_and_can_be_put_away(rich: Board, open_page: Any) -> None:
    (track,) = [track for track in rich.tracks if track.key.task == "lra/listops"]
    page = open_page(rich, f"track={track.key.anchor}")
    hollow = [one for one in points(page) if one.get("hollow")]
    assert {one["label"] for one in hollow} >= {"attention", "mamba", "s4d"}
    assert all(not one["comparable"] and "budget" in one["because"] for one in hollow)
    filling = f"{POINTS}.filter((p) => p.__data__.datum.hollow).map((p) => p.getAttribute('fill'))"
    assert set(page.evaluate(filling)) <= {"none", "transparent"}
    page.locator("figure.pareto input.hollow").uncheck()
    until(page, f"!{POINTS}.some((path) => path.__data__.datum.hollow)")


def test_pointing_at_a_published_value_says_why_it_is_not_comparable(
    rich: Board, open_page: Any
) -> None:
    (track,) = [track for track in rich.tracks if track.key.task == "lra/listops"]
    page = open_page(rich, f"track={track.key.anchor}&filter=s4d")
    until(page, f"{POINTS}.filter((path) => path.__data__.datum.label === 's4d').length === 2")
    page.wait_for_timeout(300)
    page.evaluate(
        f"{POINTS}.find((path) => path.__data__.datum.hollow).setAttribute('id', 'there')"
    )
    page.locator("#there").hover(force=True)
    until(page, "document.querySelector('#tip').textContent.includes('budget cpu is not paper')")


def test_the_page_draws_what_python_draws(rich: Board, open_page: Any) -> None:
    whole = document(rich)
    for one in whole["tracks"]:
        page = open_page(rich, f"track={one['track']}&hollow=0&x=params")
        drawn(page)
        page.wait_for_timeout(300)
        made = {
            "pareto": pareto.chart(whole, one, "params"),
            "curve": line.length(whole, one),
            "losses": line.losses(whole, one),
            "validated": line.validated(whole, one),
            "sweep": sweep.sweep(whole, one),
        }
        for name, spec in made.items():
            figure = page.locator(f"figure.{name}")
            if spec is None:
                assert not figure.is_visible(), name
                continue
            until(page, f"document.querySelectorAll('.{name} .tools button').length === 2")
            kind = "mark-line" if name in ("losses", "validated") else "mark-symbol"
            found = page.evaluate(
                f"[...document.querySelectorAll('figure.{name} .role-mark.{kind} path')]"
                ".flatMap((path) => path.__data__.mark.items.map((one) => one.datum))"
                ".map(({ label, x, y }) => [label, x, y])"
            )
            wanted = [[p["label"], p["x"], p["y"]] for p in spec["datasets"]["points"]]
            assert sorted({tuple(p) for p in found}) == sorted({tuple(p) for p in wanted}), name


def test_the_window_of_good_rates_is_pythons(rich: Board, open_page: Any) -> None:
    whole = document(rich)
    (one,) = [one for one in whole["tracks"] if one["rows"][0]["sweep"]]
    page = open_page(rich, f"track={one['track']}")
    until(page, "document.querySelectorAll('.sweep .tools button').length === 2")
    bars = page.evaluate(
        "[...document.querySelectorAll('.sweep .role-mark.mark-rect path')]"
        ".map((path) => path.__data__.datum)"
    )
    (window,) = sweep.window(one["rows"][0])
    assert [(bar["from"], bar["to"]) for bar in bars] == [(window["from"], window["to"])]
    assert (window["from"], window["to"]) == (1e-3, 3e-3)


def test_a_click_on_a_point_opens_its_row(rich: Board, open_page: Any) -> None:
    (track,) = [track for track in rich.tracks if track.key.task == "lra/listops"]
    page = open_page(rich, f"track={track.key.anchor}&hollow=0")
    drawn(page)
    page.wait_for_timeout(300)  # names are placed after the first drawing, which moves nothing
    page.evaluate(
        f"{POINTS}.find((path) => path.__data__.datum.label === 'mamba').setAttribute('id', 'here')"
    )
    page.locator("#here").click(force=True)
    until(page, "location.hash.includes('open=mamba')")


def test_every_chart_is_saved_as_a_whole_file(rich: Board, open_page: Any) -> None:
    page = open_page(rich)
    drawn(page)
    for kind in ("SVG", "PNG"):
        with page.expect_download() as waiting:
            page.locator(".pareto .tools button", has_text=kind).click()
        content = Path(waiting.value.path()).read_bytes()
        if kind == "SVG":
            assert ElementTree.fromstring(content).tag.endswith("svg")
        else:
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            assert content.rstrip().endswith(b"IEND\xaeB`\x82")


def test_names_that_bite_are_text_in_charts_and_tables(rich: Board, open_page: Any) -> None:
    (track,) = [track for track in rich.tracks if track.key.task == "lra/listops"]
    page = open_page(rich, f"track={track.key.anchor}")
    drawn(page, 2)
    assert page.locator("img").count() == 0
    assert any(one.startswith(HOSTILE[:20]) for one in words(page, ".curve"))
    page.goto(f"{page.url.split('#')[0]}#view=suites")
    assert page.locator("#view-suites").get_by_text(HOSTILE).is_visible()


def test_a_search_leaves_only_its_lines(rich: Board, open_page: Any) -> None:
    (track,) = [track for track in rich.tracks if track.key.task == "lra/listops"]
    page = open_page(rich, f"track={track.key.anchor}&filter=mamba")
    drawn(page, 2)
    labels = page.evaluate(
        "[...document.querySelectorAll('.curve .role-mark.mark-symbol path')]"
        ".map((path) => path.__data__.datum.label)"
    )
    assert set(labels) == {"mamba"}
    assert "trained to here" in words(page, ".curve")


def test_what_changes_no_chart_leaves_it_standing(rich: Board, open_page: Any) -> None:
    page = open_page(rich)
    drawn(page)
    page.evaluate("document.querySelector('.pareto svg').id = 'first'")
    page.locator("table.board thead button").first.click()
    until(page, "location.hash.includes('sort=')")
    page.wait_for_timeout(300)
    assert page.locator("#first").count() == 1
    page.emulate_media(color_scheme="dark")
    until(page, "!document.querySelector('#first')")
    drawn(page)


def test_smoke_is_written_into_the_chart(rich: Board, open_page: Any) -> None:
    (track,) = [track for track in rich.tracks if track.key.note]
    page = open_page(rich, f"track={track.key.anchor}")
    drawn(page)
    assert "smoke: not a result" in words(page, ".pareto")


def test_a_suite_says_why_a_cell_has_no_score(rich: Board, open_page: Any) -> None:
    page = open_page(rich, "view=suites")
    (suite,) = page.locator("table.suite").all()
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
    rich: Board, open_page: Any
) -> None:
    page = open_page(rich, "view=efficiency")
    drawn(page, 3)
    lengths = page.locator("table.lengths")
    assert lengths.locator(".miss").inner_text() == "out of memory"
    assert lengths.locator(".miss").get_attribute("title") == "<i>no</i> memory left"
    assert "✓ yes" in page.locator("table.growth").inner_text()
    page.locator(".view:not([hidden]) select").last.select_option("mfu")
    until(page, "document.querySelector('table.lengths td').textContent.includes('%')")
    assert "overtake" in page.locator("#view-efficiency").inner_text()


def test_published_shows_ours_beside_theirs_and_why_not(rich: Board, open_page: Any) -> None:
    page = open_page(rich, "view=published")
    drawn(page)
    marks = page.evaluate(
        "[...document.querySelectorAll('.dots .role-mark.mark-symbol path')]"
        ".map((path) => path.__data__.datum)"
    )
    ours = [one for one in marks if one.get("comparable") is not None]
    assert ours
    assert len(marks) > len(ours)
    table = page.locator("table.published").first
    assert "not comparable because" in table.inner_text()
    assert table.locator("a[rel=noreferrer]").count() > 0
    select = page.locator(".view:not([hidden]) select")
    other = select.locator("option").nth(3)
    select.select_option(other.get_attribute("value"))
    until(
        page, f"document.querySelector('.dots h2').textContent === {json.dumps(other.inner_text())}"
    )


def test_findings_have_a_verdict_in_words_and_a_command(rich: Board, open_page: Any) -> None:
    page = open_page(rich, "view=findings", permissions=["clipboard-read", "clipboard-write"])
    cards = page.locator("article.finding")
    assert cards.count() > 5
    known = {"supported", "contradicted", "not enough runs"}
    assert {one.split("\n")[-1] for one in page.locator(".verdict").all_inner_texts()} <= known
    command = page.locator(".command").first
    command.locator("button").click()
    until(page, "document.querySelector('.command button').textContent === 'copied'")
    assert page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_views_are_for_everyone(rich: Board, open_page: Any, scheme: str) -> None:
    page = open_page(rich, color_scheme=scheme, bypass_csp=True)
    for view in VIEWS:
        page.locator(f"#tab-{view}").click()
        page.wait_for_timeout(400)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{view}: {found.generate_report()}"


def test_nothing_is_wider_than_a_phone(rich: Board, open_page: Any) -> None:
    page = open_page(rich, width=390, height=844)
    for view in VIEWS:
        page.locator(f"#tab-{view}").click()
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
