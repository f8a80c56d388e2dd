"""The page's own statistics, held to Python's on random data."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from zoo.record import Record
from zoo_leaderboard.page import own, page
from zoo_leaderboard.read import board
from zoo_leaderboard.statistics import compare, holm, quantile

Put = Callable[..., Record]
Open = Callable[..., Page]


def test_the_script_counts_as_python_does(open_page: Open) -> None:
    draw = random.Random(6)
    cases: list[list[dict[str, float]]] = []
    for case in range(120):
        n, m = draw.randint(0, 6), draw.randint(0, 6)
        sides = [range(n), range(n) if case % 2 else range(3, 3 + m)]
        spread = 10.0 ** draw.randint(-6, 2)
        cases.append([{str(i): draw.gauss(0.5, spread) for i in side} for side in sides])
    cases += [
        [{"0": 1.0, "1": 1.0}, {"0": 0.5, "1": 0.5}],
        [{"0": 0.5, "1": 0.3}, {"0": 0.4, "1": 0.2}],
    ]
    cases.append([{"0": 0.9, "1": 1.0, "2": 0.95}, {"0": 0.2, "1": 0.0, "2": 0.3}])
    shown = open_page(b"<!doctype html><title>none</title>")
    script = f"""([cases, families]) => {{
      const missing = (value) => value === null || value === undefined;
      {own("js/stats.js")}
      const points = [1, 2, 2.5, 7, 40].map((n) => quantile(n));
      return [cases.map(([a, b, range]) => difference(a, b, range)), families.map(holm), points];
    }}"""
    families = [
        [draw.choice([None, draw.random() ** 3]) for _ in range(size)] for size in range(12)
    ]
    ranges = {"accuracy": [0, 1], "loss": [0, None], "mse": [None, None]}
    asked = [(a, b, metric) for a, b in cases for metric in ranges]
    given = [[a, b, ranges[metric]] for a, b, metric in asked]
    ours, adjusted, points = shown.evaluate(script, [given, families])
    for (a, b, metric), found in zip(asked, ours, strict=True):
        x, y = ({int(seed): value for seed, value in side.items()} for side in (a, b))
        wanted = compare(x, y, metric)
        assert found["test"] == wanted.test
        for name in ("difference", "low", "high", "p", "n_a", "n_b"):
            value = getattr(wanted, name)
            assert found[name] == (
                value if value is None else pytest.approx(value, rel=1e-6, abs=1e-12)
            )
    for ps, got in zip(families, adjusted, strict=True):
        assert got == [p if p is None else pytest.approx(p) for p in holm(ps)]
    assert points == [pytest.approx(quantile(n), rel=1e-9) for n in (1, 2, 2.5, 7, 40)]


def test_less_may_be_better_and_only_what_holm_leaves_is_said(
    runs: Path, put: Put, open_page: Open
) -> None:
    table = {
        "base": (1.00, 1.02, 0.98),
        "lower": (0.50, 0.53, 0.49),
        "higher": (1.50, 1.53, 1.49),
        "nearly": (1.20, 1.28, 1.12),  # p 0.029 alone, 0.057 among these four
        "same": (1.01, 1.00, 0.99),
    }
    for name, values in table.items():
        for seed, value in enumerate(values):
            put(value, mixer=name, seed=seed, headline="mse", higher_is_better=False, chance=None)
    picked = "&".join(f"picked={name}" for name in table)
    shown = open_page(page(board(runs), vega=""), picked)
    lines = shown.locator(".comparison tbody tr").all()
    said = {
        line.locator("th").inner_text(): line.locator("td").first.inner_text() for line in lines
    }
    assert said == {
        "lower": "better",
        "higher": "worse",
        "nearly": "no difference shown",
        "same": "no difference shown",
    }
    assert "< 0.001" in lines[0].inner_text()
    assert "0.029" in lines[2].inner_text()
    assert "0.057" in lines[2].inner_text()
