"""`zoo compare`: which rows it sets against each other, and what it says of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import typer
from typer.testing import CliRunner, Result

import zoo
from zoo.record import Record
from zoo_leaderboard.compare_command import compare

Put = Callable[..., Record]
A, B, C = [0.50, 0.52, 0.51], [0.60, 0.61, 0.63], [0.51, 0.53, 0.515]


@pytest.fixture
def three(put: Put) -> Put:
    """Three mixers on one task with the same seeds."""
    for mixer, values, params in (("attention", A, 100), ("mamba", B, 200), ("hyena", C, 400)):
        for seed, value in enumerate(values):
            put(value, mixer=mixer, seed=seed, params=params)
    return put


def run(*words: str | Path) -> Result:
    """The command as the core builds it from its signature."""
    app = typer.Typer()
    app.command()(compare)
    return CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "100"})


def told(tmp_path: Path, *words: str | Path) -> list[dict[str, Any]]:
    result = run(*words, "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.exception
    contests: list[dict[str, Any]] = json.loads((tmp_path / "c.json").read_text())["contests"]
    return contests


def refused(*words: str | Path) -> str:
    error = run(*words).exception
    assert isinstance(error, zoo.ZooError)
    assert error.exit_code == 2
    return str(error)


def test_rows_stand_against_the_first_with_holm_over_all(
    runs: Path, three: Put, tmp_path: Path
) -> None:
    (contest,) = told(tmp_path, "attention", "mamba", "hyena", "--runs", runs)
    assert contest["baseline"]["label"] == "attention"
    ps = [float(scipy.stats.ttest_rel(values, A).pvalue) for values in (B, C)]
    mamba, hyena = contest["others"]
    assert [mamba["p"], hyena["p"]] == pytest.approx(ps)
    assert min(ps) == ps[0]
    assert [mamba["p_holm"], hyena["p_holm"]] == pytest.approx([2 * ps[0], max(2 * ps[0], ps[1])])
    assert mamba["difference"] == pytest.approx(sum(B) / 3 - sum(A) / 3)
    assert (mamba["test"], mamba["verdict"]) == ("paired t", "better")
    assert (mamba["ratios"]["params"], hyena["ratios"]["params"]) == (2, 4)
    (alone,) = told(tmp_path, "attention", "mamba", "--runs", runs)
    assert alone["others"][0]["p_holm"] == alone["others"][0]["p"]


def test_the_terminal_says_it_in_words(runs: Path, three: Put) -> None:
    text = run("attention", "mamba", "hyena", "--runs", runs).stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["mamba", "+0.103"] in [line[:2] for line in lines]
    assert [line[-1] for line in lines if line[:2] == ["mamba", "+0.103"]] == ["better"]
    assert ["hyena", "x4"] in [line[:2] for line in lines]
    assert max(map(len, text.splitlines())) <= 100


def test_other_seeds_are_compared_by_welch(runs: Path, put: Put, tmp_path: Path) -> None:
    for seed, value in enumerate(A):
        put(value, mixer="attention", seed=seed)
        put(B[seed], mixer="mamba", seed=seed + 7)
    (contest,) = told(tmp_path, "attention", "mamba", "--runs", runs)
    found = scipy.stats.ttest_ind(B, A, equal_var=False)
    assert contest["others"][0]["test"] == "Welch"
    assert contest["others"][0]["p"] == pytest.approx(float(found.pvalue))


def test_less_is_better_turns_the_verdict(runs: Path, put: Put, tmp_path: Path) -> None:
    down = {"headline": "bits_per_byte", "higher_is_better": False}
    for seed, value in enumerate(A):
        put(value, mixer="attention", seed=seed, **down)
        put(B[seed], mixer="mamba", seed=seed, **down)
    (contest,) = told(tmp_path, "attention", "mamba", "--runs", runs)
    assert contest["others"][0]["verdict"] == "worse"


def test_one_seed_has_a_difference_and_no_verdict(runs: Path, put: Put, tmp_path: Path) -> None:
    put(0.5, mixer="attention")
    put(0.7, mixer="mamba")
    put(mixer="hyena", status="oom")
    (contest,) = told(tmp_path, "attention", "mamba", "hyena", "--runs", runs)
    mamba, hyena = contest["others"]
    assert mamba["difference"] == pytest.approx(0.2)
    assert (mamba["p"], mamba["test"], mamba["verdict"]) == (None, None, "too few seeds")
    assert (hyena["mean"], hyena["difference"]) == (None, None)


@pytest.mark.parametrize(
    ("base", "other", "says"),
    [
        ([0.50, 0.51, 0.52], [0.52, 0.52, 0.52], "undecided"),  # p 0.225
        ([0.50, 0.51, 0.52], [0.60, 0.61, 0.625], "better"),
        ([0.50], [0.60, 0.61], "too few seeds"),
        ([0.50, 0.51], [0.60], "too few seeds"),
        ([0.50, 0.50], [0.60, 0.60], "no spread"),
    ],
)
def test_no_more_is_said_than_the_seeds_allow(
    runs: Path, put: Put, tmp_path: Path, base: list[float], other: list[float], says: str
) -> None:
    for mixer, values in (("gru", base), ("mamba", other)):
        for seed, value in enumerate(values):
            put(value, mixer=mixer, seed=seed, params=0)
    (contest,) = told(tmp_path, "gru", "mamba", "--runs", runs)
    (against,) = contest["others"]
    assert against["verdict"] == says
    assert "params" not in against["ratios"]  # nothing is a multiple of 0


def test_every_track_that_has_them_is_told_and_a_task_can_be_picked(
    runs: Path, three: Put, tmp_path: Path
) -> None:
    three(0.9, mixer="attention", task="copy")
    three(0.8, mixer="mamba", task="copy")
    three(0.8, mixer="mamba", task="lra/text")
    words = ("attention", "mamba", "hyena", "--runs", runs)
    contests = told(tmp_path, *words)
    assert [one["task"] for one in contests] == ["copy", "lra/listops"]
    assert [one["absent"] for one in contests] == [["hyena"], []]
    assert [one["task"] for one in told(tmp_path, *words, "--task", "lra/listops")] == [
        "lra/listops"
    ]


def test_a_label_names_one_row_of_several(runs: Path, put: Put, tmp_path: Path) -> None:
    put(0.5, mixer="mamba", options={"state": 16})
    put(0.6, mixer="mamba", options={"state": 32})
    text = refused("mamba", "mamba state=16", "--runs", runs)
    assert "'mamba state=16', 'mamba state=32'" in text
    (contest,) = told(tmp_path, "mamba state=16", "mamba state=32", "--runs", runs)
    assert contest["others"][0]["difference"] == pytest.approx(0.1)


def test_a_name_that_is_clear_in_one_track_is_compared_there(
    runs: Path, three: Put, tmp_path: Path
) -> None:
    for state in (16, 32):
        three(0.5, mixer="mamba", task="copy", options={"state": state})
        three(0.5, mixer="mamba", task="alone", options={"state": state})  # not worth a word
    three(0.5, mixer="attention", task="copy")
    three(0.4, mixer="hyena", task="copy")
    words = ("attention", "mamba", "hyena", "--runs", runs)
    copy, listops = told(tmp_path, *words)
    assert [one["label"] for one in copy["others"]] == ["hyena"]
    assert copy["absent"] == []
    assert [one["label"] for one in listops["others"]] == ["mamba", "hyena"]
    (said,) = json.loads((tmp_path / "c.json").read_text())["left_out"]
    assert "'mamba' is 2 rows of copy" in said
    assert f"left out: {said}" in run(*words).stderr
    (alone,) = told(tmp_path, "mamba", "attention", "--runs", runs)
    assert alone["task"] == "lra/listops"
    (part,) = told(tmp_path, "mamba state=16", "mamba", "attention", "--runs", runs)
    assert (part["task"], [one["label"] for one in part["others"]]) == ("copy", ["attention"])


def test_hundreds_of_rows_are_not_listed_one_by_one(runs: Path, put: Put) -> None:
    for state in range(30):
        put(0.5, mixer="mamba", options={"state": state}, run_id=str(state))
    put(0.5, mixer="gru")
    text = refused("gru", "mamba", "--runs", runs)
    assert "'mamba' is 30 rows" in text
    assert "and 22 more" in text
    assert len(text) < 400


def test_exponents_and_windows_have_no_ratio(runs: Path, put: Put, tmp_path: Path) -> None:
    times = {n: 0.01 * n for n in (256, 512, 1024, 2048, 4096)}
    put(0.5, mixer="gru", forward_ms=times, params=1, speed=1e-300)
    put(0.5, mixer="mamba", forward_ms=times, params=3, speed=1e300)
    (contest,) = told(tmp_path, "gru", "mamba", "--runs", runs)
    assert contest["baseline"]["costs"]["time_exponent"] == pytest.approx(1, abs=0.01)
    ratios = contest["others"][0]["ratios"]
    assert {"time_exponent", "lr_window", "train_tokens_per_s"}.isdisjoint(ratios)
    assert (ratios["params"], ratios["forward_ms"]) == (3, 1)


def test_an_interval_of_accuracies_stays_between_minus_one_and_one(
    runs: Path, put: Put, tmp_path: Path
) -> None:
    for seed, (one, other) in enumerate([(0.1, 0.9), (0.3, 0.2)]):
        put(one, mixer="gru", seed=seed)
        put(other, mixer="mamba", seed=seed)
    (contest,) = told(tmp_path, "gru", "mamba", "--runs", runs)
    (against,) = contest["others"]
    assert (against["difference_low"], against["difference_high"]) == (-1, 1)


def test_wrong_words_are_refused_with_what_is_right(runs: Path, three: Put) -> None:
    assert "did you mean 'mamba'?" in refused("attention", "mamab", "--runs", runs)
    assert "did you mean 'lra/listops'?" in refused(
        "attention", "mamba", "--task", "listops", "--runs", runs
    )
    assert "two names" in refused("attention", "--runs", runs)
    assert "two names" in refused("attention", "attention", "--runs", runs)


def test_rows_of_different_conditions_are_never_compared(runs: Path, put: Put) -> None:
    put(0.5, mixer="attention", budget="gpu")
    put(0.6, mixer="mamba", budget="cpu")
    text = refused("attention", "mamba", "--runs", runs)
    assert "gpu" in text
    assert "cpu" in text


def test_hostile_names_reach_the_terminal_as_text(runs: Path, put: Put) -> None:
    put(0.5, mixer="[red]a\x1b[2J")
    put(0.6, mixer="b\u202e")
    text = run("[red]a\x1b[2J", "b\u202e", "--runs", runs).stdout
    assert "[red]a\\x1b[2J" in text
    assert not {"\x1b", "\u202e"} & {*text}
