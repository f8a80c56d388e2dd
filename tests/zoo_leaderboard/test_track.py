"""What a track makes of its rows: places, costs, the front, and whether chance is beaten."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.record import Efficiency, FlopsPart, Record, write
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.measured import measured
from zoo_leaderboard.read import board
from zoo_leaderboard.row import Row
from zoo_leaderboard.track import Track

Put = Callable[..., Record]
STATE = next(column for column in COLUMNS if column.key == "state_bytes")
PARAMS = next(column for column in COLUMNS if column.key == "params")


def only(runs: Path) -> Track:
    (track,) = board(runs).tracks
    return track


def single(runs: Path) -> Row:
    (row,) = only(runs).rows
    return row


def test_ranking_follows_the_direction_and_ties_share_a_place(runs: Path, put: Put) -> None:
    down = {"headline": "bits_per_byte", "higher_is_better": False}
    for name, value in {"a": 2.0, "b": 1.5, "c": 1.5, "d": 3.0}.items():
        put(value, mixer=name, **down)
    put(mixer="e", status="diverged", **down)
    placed = [(ranked.rank, ranked.row.label) for ranked in only(runs).ranking]
    assert placed == [(1, "b"), (1, "c"), (3, "a"), (4, "d"), (None, "e")]


def test_state_is_compared_at_the_largest_length_that_all_measured(runs: Path, put: Put) -> None:
    put(mixer="attention", state_bytes={256: 1, 512: 2, 1024: 4})
    put(mixer="mamba", state_bytes={256: 7, 512: 7, 2048: 7})
    put(mixer="hyena", state_bytes={})
    track = only(runs)
    assert track.length(STATE) == 512
    costs = {row.label: track.cost(row, STATE) for row in track.rows}
    assert costs == {"attention": 2, "mamba": 7, "hyena": None}


def test_the_front_needs_a_score_and_a_cost(runs: Path, put: Put) -> None:
    put(0.9, mixer="best", params=300)
    put(0.5, mixer="small", params=100)
    put(0.4, mixer="beaten", params=200)
    put(0.99, mixer="unmeasured", params=None)
    put(mixer="failed", params=1, status="failed")
    assert {row.label for row in only(runs).front(PARAMS)} == {"best", "small"}


def test_a_cost_is_the_median_over_the_seeds_that_ended_well(runs: Path, put: Put) -> None:
    put(status="oom", seed=0, speed=7000.0, params=1, forward_ms={512: 900.0}, curve={8: 0.1})
    for seed, speed in ((1, 10.0), (2, 50.0), (3, 20.0)):
        put(0.5, seed=seed, speed=speed, forward_ms={512: speed}, curve={8: 0.5})
    track = only(runs)
    speed_of = next(column for column in COLUMNS if column.key == "train_tokens_per_s")
    forward = next(column for column in COLUMNS if column.key == "forward_ms")
    row = single(runs)
    assert row.first.seed == 1
    assert track.cost(track.rows[0], speed_of) == track.cost(track.rows[0], forward) == 20.0
    assert track.cost(track.rows[0], PARAMS) == 200_000
    assert row.forward_ms == {512: 20.0}
    assert track.curve_lengths == ()  # one length is no curve


def test_a_score_of_a_run_that_failed_later_does_not_count(runs: Path, make: Put) -> None:
    one = make(0.9).model_copy(update={"status": "failed"})  # when its speed was measured
    write(one, runs / "0" / "record.json")
    assert single(runs).values == {}
    assert single(runs).outcome == "failed"


@pytest.mark.parametrize(
    ("flops", "cost"),
    [
        (FlopsPart(closed_form=7.0, counted=9.0), 7.0),
        (FlopsPart(counted=9.0), 9.0),
        (FlopsPart(counted=9.0, uncounted=["aten::fft"]), None),
        (FlopsPart(closed_form=7.0, counted=9.0, uncounted=["aten::fft"]), 7.0),
    ],
)
def test_a_counter_that_skipped_operators_is_not_believed(
    make: Put, flops: FlopsPart, cost: float | None
) -> None:
    one = make().model_copy(update={"efficiency": Efficiency(flops_per_token=flops)})
    assert measured(one, "flops_per_token", None) == cost


def test_the_front_follows_the_direction_of_score_and_cost(runs: Path, put: Put) -> None:
    down = {"headline": "bits_per_byte", "higher_is_better": False}
    put(1.0, mixer="best", speed=10.0, params=300, **down)
    put(2.0, mixer="fast", speed=90.0, params=200, **down)
    put(3.0, mixer="beaten", speed=20.0, params=200, **down)
    track = only(runs)
    speed = next(column for column in COLUMNS if column.key == "train_tokens_per_s")
    assert {row.label for row in track.front(speed)} == {"best", "fast"}
    assert {row.label for row in track.front(PARAMS)} == {"best", "fast"}
    assert {row.label for row in track.fronts["state_bytes"]} == {"best"}


@pytest.mark.parametrize(
    ("values", "learned"),
    [
        ([1.0, 1.1, 1.2], True),  # up to 1.1 + 0.248
        ([1.0, 2.0, 3.0], False),  # up to 2 + 2.48
        ([4.0, 4.0, 4.0], False),
        ([5.0], False),
        ([3.0], None),
    ],
)
def test_less_than_chance_beats_it_where_less_is_better(
    runs: Path, put: Put, values: list[float], learned: bool | None
) -> None:
    for seed, value in enumerate(values):
        put(value, seed=seed, chance=4.0, headline="bits_per_byte", higher_is_better=False)
    assert only(runs).learned(single(runs)) is learned


@pytest.mark.parametrize(
    ("values", "learned"),
    [
        ([0.5, 0.5, 0.51], True),
        ([0.05, 0.1, 0.2], False),
        ([0.09], False),
        ([0.1, 0.1, 0.1], False),
        ([0.1], False),
        ([0.5], None),
    ],
)
def test_a_row_beats_chance_only_beyond_its_interval(
    runs: Path, put: Put, values: list[float], learned: bool | None
) -> None:
    for seed, value in enumerate(values):
        put(value, seed=seed, chance=0.1)
    assert only(runs).learned(single(runs)) is learned


def test_integers_beyond_float_are_no_measurement(runs: Path, put: Put) -> None:
    put(params=10**400)
    track = only(runs)
    assert track.cost(track.rows[0], PARAMS) is None
