"""A row's own page: where its figures come from, what others printed, how to run it again."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from zoo.record import Record, write
from zoo_leaderboard.document import document
from zoo_leaderboard.page import page
from zoo_leaderboard.read import board

Put = Callable[..., Record]
Open = Callable[..., Page]


def test_a_row_tells_where_it_comes_from_and_how_to_run_it_again(
    runs: Path, put: Put, open_page: Open
) -> None:
    config = {"dim": 64, "position": {"name": "rope", "base": 10000}, "pattern": ["mamba", "a b"]}
    for seed in (0, 1):
        put(0.5 + seed / 100, mixer="mamba", seed=seed, config=config)
    put(None, mixer="mamba", seed=2, status="oom", config=config)
    shown = open_page(page(board(runs), vega=""))
    shown.locator(".rows tbody tr:not(.chance)").first.focus()
    shown.keyboard.press("Enter")
    text = shown.locator("dialog[open]").inner_text()
    for part in (
        "0123456789ab",
        "4351596",
        "torch 2.13",
        "cpu: 2 cores",
        "mixer-zoo 0.1.0",
        "listops",
    ):
        assert part in text, part
    assert "train: oom: why" in text
    command = shown.locator("dialog[open] .typed pre").inner_text()
    assert command.startswith("zoo run -m task=lra/listops mixer=mamba budget=cpu")
    assert "position=rope position.base=10000" in command
    assert "'pattern=[mamba,a b]'" in command
    assert command.endswith("seed=0,1,2")
    shown.keyboard.press("Escape")
    assert not shown.locator("dialog[open]").count()
    expect(shown).not_to_have_url(re.compile("open="))


def test_published_values_stand_beside_ours_and_say_why_not_to_compare(
    runs: Path, put: Put, open_page: Open
) -> None:
    for seed in range(3):
        put(0.4 + seed / 100, mixer="mamba", seed=seed)
    whole = board(runs)
    (near,) = [
        one
        for one in document(whole)["published"]["rows"]
        if one["mixer"] == "mamba" and one["task"] == "lra/listops" and one["ours"]
    ]
    shown = open_page(page(whole, vega=""))
    mark = shown.locator(".rows .printed")
    assert mark.inner_text().startswith(f"{near['value']:.3f}")
    assert near["text"] in (mark.get_attribute("title") or "")
    why = near["ours"][0]["because"]
    assert f"not comparable because {why}" in (mark.get_attribute("title") or "")
    shown.locator(".rows .open").click()
    assert why in shown.locator("dialog[open]").inner_text()


def test_a_sweep_is_one_row_whose_page_shows_every_rate(
    runs: Path, put: Put, open_page: Open
) -> None:
    for rate, valid in ((0.001, 0.5), (0.003, 0.7), (0.01, 0.2)):
        for seed in (0, 1):
            put(valid - 0.1, valid=valid, seed=seed, config={"lr": rate})
    shown = open_page(page(board(runs), vega=""))
    assert shown.locator(".rows tbody tr").count() == 2  # chance is the other
    shown.locator(".rows .open").click()
    lines = shown.locator("dialog[open] section", has_text="Learning rates").locator("tbody tr")
    texts = [line.inner_text().split() for line in lines.all()]
    assert [text[:4] for text in texts] == [
        ["0.001", "0.500", "0.400", "2/2"],
        ["0.003", "0.700", "0.600", "2/2"],
        ["0.01", "0.200", "0.100", "2/2"],
    ]
    assert [text[4:] for text in texts] == [[], ["chosen,", "good"], []]
    assert shown.locator("dialog[open] .typed pre").inner_text().endswith("lr=0.003 seed=0,1")


def test_what_differs_between_the_runs_is_not_hidden_behind_the_first(
    runs: Path, put: Put, open_page: Open
) -> None:
    for seed, torch, sha in ((0, "2.13", "a" * 64), (1, "2.14", None)):
        made = put(0.5 + seed / 100, seed=seed)
        changed = made.model_copy(
            update={
                "env": made.env.model_copy(
                    update={"torch": torch, "deterministic": bool(seed), "plugins": {"zoo": torch}}
                ),
                "data": made.data.model_copy(update={"sha256": sha}),
                "missing": {"data.sha256": "made anew", "efficiency.joules": f"no meter {seed}"},
            }
        )
        write(changed, runs / str(seed) / "record.json")
    shown = open_page(page(board(runs), vega=""), "open=mamba")
    facts = shown.locator("dialog[open] .facts").inner_text()
    for part in (
        "torch 2.13; 2.14",
        "zoo 2.13; zoo 2.14",
        "deterministic; ",
        "a" * 64,
        "made anew",
    ):
        assert part in facts, part
    assert "test, 1000 items" in facts
    reasons = shown.locator("dialog[open] details li").all_text_contents()
    assert {"efficiency.joules: no meter 0", "efficiency.joules: no meter 1"} <= set(reasons)


def test_a_reader_is_not_thrown_back(runs: Path, put: Put, open_page: Open) -> None:
    for seed in range(3):
        put(0.5, seed=seed, config={f"key{i}": i for i in range(40)})
    shown = open_page(page(board(runs), vega=""), "open=mamba", height=500)
    body = shown.locator("dialog[open] .body")
    body.evaluate("(one) => { one.scrollTop = 200; }")
    shown.emulate_media(color_scheme="dark")
    shown.wait_for_timeout(100)
    assert body.evaluate("(one) => one.scrollTop") == 200
