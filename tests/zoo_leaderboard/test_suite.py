"""The mean over a suite, and when there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.record import Record
from zoo_leaderboard.read import board
from zoo_leaderboard.suite import suites

Put = Callable[..., Record]


def test_a_mean_needs_every_task(runs: Path, put: Put) -> None:
    for task, value in {"lra/listops": 0.4, "lra/text": 0.8}.items():
        put(value, task=task, mixer="mamba")
        put(value, task=task, mixer="s4d", status="oom" if task == "lra/text" else "ok")
    put(0.3, task="lra/listops", mixer="gru")
    put(0.3, task="copy", mixer="gru")
    (suite,) = suites(board(runs).tracks)
    assert suite.title == "lra (zoo): mean of 2 tasks"
    means = {entry.label: entry.means["mean"] for entry in suite.entries}
    states = {entry.label: " ".join(cell.state for cell in entry.cells) for entry in suite.entries}
    assert means == {"mamba": pytest.approx(0.6), "s4d": None, "gru": None}
    assert states == {
        "mamba": "provisional provisional",
        "s4d": "provisional failed",
        "gru": "provisional missing",
    }


def test_protocols_budgets_and_hardware_are_suites_apart(runs: Path, put: Put) -> None:
    others = ({"protocol": "s4"}, {"budget": "gpu"}, {"device": "gpu"}, {"precision": "bf16"})
    for conditions in ({}, *others):
        put(task="lra/listops", **conditions)
    found = suites(board(runs).tracks)
    assert [len(suite.tracks) for suite in found] == [1, 1, 1, 1, 1]


def test_two_configs_of_a_mixer_are_not_picked_from(runs: Path, put: Put) -> None:
    put(0.4, config={"lr": 0.1})
    put(0.9, config={"lr": 0.2})
    (suite,) = suites(board(runs).tracks)
    (entry,) = suite.entries
    assert (entry.means["mean"], entry.cells[0].state) == (None, "ambiguous")


def test_different_metrics_have_no_mean(runs: Path, put: Put) -> None:
    put(0.4, task="lm/words")
    put(1.4, task="lm/bytes", headline="bits_per_byte", higher_is_better=False)
    (suite,) = suites(board(runs).tracks)
    assert not suite.comparable
    assert [entry.means["mean"] for entry in suite.entries] == [None]


@pytest.mark.parametrize(("higher", "order"), [(True, ["b", "a"]), (False, ["a", "b"])])
def test_the_best_mean_comes_first(runs: Path, put: Put, higher: bool, order: list[str]) -> None:
    for mixer, value in (("a", 1.0), ("b", 2.0), ("none", None)):
        put(value, mixer=mixer, task="lm/x", headline="score", higher_is_better=higher)
    (suite,) = suites(board(runs).tracks)
    assert [entry.label for entry in suite.entries] == [*order, "none"]


def test_of_two_ids_of_a_task_the_newer_counts(runs: Path, put: Put) -> None:
    put(0.4, task_id="old", started="2026-01-01T00:00:00Z")
    put(0.5, task_id="new", started="2026-02-01T00:00:00Z")
    (suite,) = suites(board(runs).tracks)
    assert [track.key.id for track in suite.tracks] == ["new"]
    assert [track.key.id for track in suite.outdated] == ["old"]
    assert [entry.means["mean"] for entry in suite.entries] == [0.5]


AVERAGES = {"Avg2": ["lra/a", "lra/b"], "Avg3": ["lra/a", "lra/b", "lra/c"]}


def test_means_with_a_name_are_over_their_tasks_and_no_other(runs: Path, put: Put) -> None:
    for task, value in {"lra/a": 0.2, "lra/b": 0.4, "lra/a:stand-in": 0.9}.items():
        put(value, task=task, averages=AVERAGES)
    (suite,) = suites(board(runs).tracks)
    assert suite.title == "lra (zoo): Avg2, Avg3"
    assert list(suite.columns) == ["lra/a", "lra/b", "lra/c", "lra/a:stand-in"]
    (entry,) = suite.entries
    assert entry.means == {"Avg2": pytest.approx(0.3), "Avg3": None}
    assert [cell.state for cell in entry.cells] == ["provisional"] * 2 + ["missing", "provisional"]


def test_a_failed_task_is_never_averaged_over(runs: Path, put: Put) -> None:
    put(0.2, task="lra/a", averages=AVERAGES)
    put(0.4, task="lra/b", averages=AVERAGES)
    put(0.5, task="lra/c", averages=AVERAGES, status="oom")
    (suite,) = suites(board(runs).tracks)
    assert suite.entries[0].means == {"Avg2": pytest.approx(0.3), "Avg3": None}


def test_a_mean_over_nothing_or_beyond_floats_is_none(runs: Path, put: Put) -> None:
    averages = {"Avg0": [], "Avg2": ["lra/a", "lra/b"]}
    down = {"headline": "perplexity", "higher_is_better": False, "chance": None}
    for task, value in {"lra/a": 1.7e308, "lra/b": 1.6e308}.items():
        put(value, task=task, averages=averages, **down)
    (suite,) = suites(board(runs).tracks)
    assert [entry.means for entry in suite.entries] == [{"Avg0": None, "Avg2": None}]


def test_a_mean_is_over_what_the_newest_record_says(runs: Path, put: Put) -> None:
    for mixer, started, tasks in (
        ("a", "2026-03-01T00:00:00Z", ["lra/a"]),
        ("b", "2026-02-01T00:00:00Z", ["lra/a", "lra/old"]),
    ):
        put(0.5, task="lra/a", mixer=mixer, started=started, averages={"Avg": tasks})
    (suite,) = suites(board(runs).tracks)
    assert suite.averages == {"Avg": ("lra/a",)}


def test_options_that_the_protocol_set_may_differ_between_tasks(runs: Path, put: Put) -> None:
    put(0.2, task="lra/a", options={"heads": 8, "window": 3}, prescribed=["heads"])
    put(0.4, task="lra/b", options={"heads": 4, "window": 3}, prescribed=["heads"])
    (suite,) = suites(board(runs).tracks)
    assert [entry.means["mean"] for entry in suite.entries] == [pytest.approx(0.3)]
    put(0.4, task="lra/b", options={"heads": 2, "window": 3})
    (suite,) = suites(board(runs).tracks)
    assert sorted(entry.means["mean"] or 0 for entry in suite.entries) == [0, pytest.approx(0.3)]
