"""Sweeps of learning rates and the course of training: what a row shows of several runs."""

from collections.abc import Callable
from math import log10
from pathlib import Path
from typing import Any

import pytest

from zoo.record import Efficiency, Metric, Record, Spread, write
from zoo_leaderboard.read import board
from zoo_leaderboard.row import Row
from zoo_leaderboard.track import Track

Make = Callable[..., Record]


@pytest.fixture
def swept(runs: Path, make: Make) -> Callable[..., Track]:
    """A track with one mixer at several rates: `{lr: [(test, valid) per seed]}`, None failed."""

    def build(rates: dict[float, list[Any]], higher: bool = True, **options: Any) -> Track:
        name = options.get("headline", "accuracy")
        chance = options.get("chance", 0.1)
        for lr, seeds in rates.items():
            for seed, scores in enumerate(seeds):
                test, valid = scores or (None, None)
                one = make(
                    test, seed=seed, config={"lr": lr}, status="ok" if scores else "diverged",
                    higher_is_better=higher, **options,
                )  # fmt: skip
                more = {} if valid is None else {f"valid_{name}": metric(valid, higher, chance)}
                one = one.model_copy(update={"metrics": {**one.metrics, **more}})
                write(one, runs / f"{options.get('mixer', '')}{lr}-{seed}" / "record.json")
        (track,) = board(runs).tracks
        return track

    return build


def metric(value: float, higher: bool = True, chance: float | None = 0.1) -> Metric:
    return Metric(value=value, split="valid", higher_is_better=higher, chance=chance, n=500)


def single(track: Track) -> Row:
    (row,) = track.rows
    return row


def test_the_rate_is_chosen_on_validation_whatever_the_test_says(
    swept: Callable[..., Track],
) -> None:
    row = single(swept({0.001: [(0.9, 0.5), (0.9, 0.6)], 0.01: [(0.2, 0.7), (0.3, 0.6)]}))
    assert (row.label, row.lr) == ("mamba", 0.01)
    assert row.values == {0: 0.2, 1: 0.3}
    assert [(one.lr, one.chosen) for one in row.rates] == [(0.001, False), (0.01, True)]
    assert [one.valid for one in row.rates] == pytest.approx([0.55, 0.65])
    assert [one.mean for one in row.rates] == pytest.approx([0.9, 0.25])
    assert {record.config["lr"] for record in row.rest} == {0.001}


def test_a_rate_with_a_failed_seed_is_chosen_only_if_all_have_one(
    swept: Callable[..., Track], runs: Path
) -> None:
    row = single(swept({0.001: [(0.4, 0.4), (0.4, 0.4)], 0.01: [(0.9, 0.9), None]}))
    assert (row.lr, row.planned, len(row.ok)) == (0.001, 2, 2)
    assert [one.seeds_ok for one in row.rates] == [2, 1]
    for path in (runs / "0.001-1", runs / "0.01-1"):
        (path / "record.json").unlink()
    row = single(swept({0.001: [(0.4, 0.4), None], 0.01: [(0.9, 0.9), None]}))
    assert (row.lr, row.planned, len(row.ok)) == (0.01, 2, 1)


@pytest.mark.parametrize("chance", [None, 8.0])
def test_less_can_be_better(swept: Callable[..., Track], chance: float | None) -> None:
    rates = {0.001: [(2.0, 2.0)], 0.002: [(1.0, 1.04)], 0.004: [(1.0, 1.0)], 0.008: [(1.0, 1.06)]}
    row = single(swept(rates, higher=False, headline="bits_per_byte", chance=chance))
    assert row.lr == 0.004
    assert [one.good for one in row.rates] == [False, True, True, False]
    assert row.lr_window == pytest.approx(log10(2))


@pytest.mark.parametrize(
    ("valid", "window"),
    [
        ([0.952, 0.955, 1.00, 0.956, 0.5], log10(4e-3 / 1e-3)),  # 0.955 is 95 % above 0.1
        ([0.96, 0.96, 1.00, 0.10, 0.99], log10(2e-3 / 0.5e-3)),  # a gap ends it
        ([0.10, 0.10, 0.50, 0.10, 0.10], 0.0),
        ([0.09, 0.08, 0.10, 0.10, 0.05], None),  # nothing was learnt: chance is 0.1
    ],
)
def test_the_window_is_the_run_of_good_rates_around_the_chosen_one(
    swept: Callable[..., Track], valid: list[float], window: float | None
) -> None:
    rates = dict(zip([0.5e-3, 1e-3, 2e-3, 4e-3, 8e-3], ([(v, v)] for v in valid), strict=True))
    found = single(swept(rates)).lr_window
    assert found == (None if window is None else pytest.approx(window))


def test_two_rates_are_no_window(swept: Callable[..., Track]) -> None:
    assert single(swept({0.001: [(0.5, 0.5)], 0.01: [(0.5, 0.5)]})).lr_window is None


def test_a_rate_with_more_seeds_is_compared_over_those_that_all_rates_have(
    swept: Callable[..., Track],
) -> None:
    """Tried with one seed each, the best then run with two more: their mean is below another's."""
    first = [(0.5, 0.90), (0.5, 0.80), (0.5, 0.81)]
    row = single(swept({0.001: first, 0.01: [(0.9, 0.88)], 0.1: [(0.9, 0.85)]}))
    assert (row.lr, row.planned) == (0.001, 3)
    assert [one.valid for one in row.rates] == [0.90, 0.88, 0.85]
    assert [one.good for one in row.rates] == [True, True, False]
    assert row.lr_window == pytest.approx(1.0)


def test_rates_that_share_no_seed_are_compared_over_their_own(
    swept: Callable[..., Track],
) -> None:
    rates = {0.001: [(0.5, 0.9), None], 0.01: [None, (0.4, 0.7), (0.4, 0.8)]}
    row = single(swept(rates))
    assert [one.valid for one in row.rates] == pytest.approx([0.9, 0.75])
    assert (row.lr, len(row.ok), row.planned) == (0.001, 1, 2)


def test_a_seed_that_only_a_failed_rate_lacks_is_shared_by_the_others(
    swept: Callable[..., Track],
) -> None:
    rates = {
        0.001: [(0.5, 0.6), (0.5, 0.8)],
        0.01: [(0.4, 0.7), (0.4, 0.6)],
        0.1: [(0.9, 0.9), None],
    }
    row = single(swept(rates))
    assert [one.valid for one in row.rates] == pytest.approx([0.7, 0.65, 0.9])
    assert [one.good for one in row.rates] == [True, False, False]
    assert row.lr == 0.001


def test_a_run_that_failed_after_its_test_does_not_choose(
    swept: Callable[..., Track], runs: Path
) -> None:
    swept({0.001: [(0.4, 0.4), (0.4, 0.5)], 0.01: [(0.9, 0.9), (0.9, 0.2)]})
    path = runs / "0.01-1" / "record.json"
    path.write_text(path.read_text().replace('"status": "ok"', '"status": "failed"'))
    (row,) = board(runs).tracks[0].rows
    assert [one.valid for one in row.rates] == pytest.approx([0.45, 0.9])  # of who ended well
    assert [(one.chosen, one.good) for one in row.rates] == [(True, True), (False, False)]


def test_rates_at_the_ends_of_the_floats_make_a_window_too(swept: Callable[..., Track]) -> None:
    row = single(swept({lr: [(0.5, 0.5)] for lr in (1e-300, 1.0, 1e300)}))
    assert row.lr_window == pytest.approx(600)


def test_a_run_without_any_rate_is_none_of_the_sweep(
    swept: Callable[..., Track], make: Make, runs: Path
) -> None:
    bare = make(0.4, run_id="bare")
    more = {**bare.metrics, "valid_accuracy": metric(0.5)}
    write(
        bare.model_copy(update={"config": {"seed": 0}, "metrics": more}),
        runs / "bare" / "record.json",
    )
    track = swept({lr: [(0.5, 0.5)] for lr in (0.001, 0.01, 0.1)})
    windows = {row.label: row.lr_window for row in track.rows}
    assert windows == {"mamba": None, "mamba lr=swept": pytest.approx(2.0)}


def test_without_validation_nothing_is_chosen_and_the_rates_stay_apart(
    swept: Callable[..., Track],
) -> None:
    track = swept({0.001: [(0.4, None)], 0.01: [(0.9, None)]})
    assert {row.label for row in track.rows} == {"mamba lr=0.001", "mamba lr=0.01"}
    assert not any(row.rates for row in track.rows)


def test_a_rate_that_diverged_throughout_belongs_to_the_sweep(swept: Callable[..., Track]) -> None:
    row = single(swept({0.001: [(0.4, 0.4)], 0.1: [None, None]}))
    assert (row.lr, row.planned) == (0.001, 1)
    assert [(one.lr, one.seeds_planned, one.valid) for one in row.rates] == [
        (0.001, 1, 0.4),
        (0.1, 2, None),
    ]


def test_rows_that_differ_in_more_than_the_rate_are_apart_and_named_by_the_rest(
    swept: Callable[..., Track],
) -> None:
    swept({0.001: [(0.4, 0.4)], 0.01: [(0.5, 0.5)]}, options={"state": 16})
    track = swept({0.003: [(0.4, 0.4)], 0.03: [(0.5, 0.5)]}, options={"state": 32})
    assert {row.label for row in track.rows} == {"mamba state=16", "mamba state=32"}


def test_the_rate_of_a_record_may_be_anything(runs: Path, make: Make) -> None:
    for i, lr in enumerate([0.1, True, "fast", None, [1], -1, 0, 10**400]):
        write(make(0.5, config={"lr": lr}), runs / str(i) / "record.json")
    (track,) = board(runs).tracks
    assert len(track.rows) == 8
    assert sum(row.lr is not None for row in track.rows) == 1


def test_the_course_of_training_is_over_the_steps_that_all_seeds_have(
    runs: Path, make: Make
) -> None:
    courses = [{10: 4.0, 20: 3.0, 30: 1.0}, {10: 2.0, 20: 2.0}, {}]
    for seed, losses in enumerate(courses):
        one = make(0.5, seed=seed).model_copy(update={"losses": losses})
        write(one, runs / str(seed) / "record.json")
    row = single(board(runs).tracks[0])
    assert row.losses(100) == [(10, 3.0, 2.0, 4.0), (20, 2.5, 2.0, 3.0)]


def test_a_long_course_keeps_its_end(runs: Path, make: Make) -> None:
    one = make(0.5).model_copy(update={"losses": {step: 1 / step for step in range(1, 1002)}})
    write(one, runs / "0" / "record.json")
    steps = [at.step for at in single(board(runs).tracks[0]).losses(100)]
    assert (steps[0], steps[-1]) == (1, 1001)
    assert len(steps) <= 101


def test_losses_beyond_float_leave_a_gap(runs: Path, make: Make) -> None:
    for seed in (0, 1):
        one = make(0.5, seed=seed).model_copy(update={"losses": {1: 1.7e308, 2: 1.0}})
        write(one, runs / str(seed) / "record.json")
    assert single(board(runs).tracks[0]).losses(100) == [(2, 1.0, 1.0, 1.0)]


@pytest.mark.parametrize(("power", "found"), [(1.0, True), (2.0, True), (None, False)])
def test_the_exponent_is_of_the_rows_own_forward_passes(
    runs: Path, make: Make, power: float | None, found: bool
) -> None:
    lengths = [256, 512, 1024, 2048, 4096] if power else [256, 1024, 4096]
    for seed in range(2):
        times = {n: Spread(median=0.5 + 1e-4 * n ** (power or 1), iqr=0.0) for n in lengths}
        cost = Efficiency(forward_ms=times)
        one = make(0.5, seed=seed).model_copy(update={"efficiency": cost})
        write(one, runs / str(seed) / "record.json")
    (track,) = board(runs).tracks
    (row,) = track.rows
    assert (row in track.growth) is found
    if found:
        growth = track.growth[row]
        assert growth.exponent == pytest.approx(power, abs=0.01)
        assert growth.low <= growth.exponent <= growth.high
