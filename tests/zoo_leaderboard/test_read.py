"""Which records make a row, and which rows may be ranked together."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from zoo.keys import HOUSEKEEPING
from zoo.record import Efficiency, FlopsPart, Record, write
from zoo_leaderboard.age import moment
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.label import ASIDE
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


def test_seeds_of_one_config_are_one_row(runs: Path, put: Put) -> None:
    for seed, value in enumerate([0.4, 0.5, 0.6]):
        put(value, seed=seed)
    row = single(runs)
    assert row.summary is not None
    assert row.summary.mean == pytest.approx(0.5)
    assert (len(row.ok), row.planned, row.provisional) == (3, 3, False)


@pytest.mark.parametrize(
    "other",
    [
        {"task": "lra/text"},
        {"task_id": "ffffffffffff"},
        {"protocol": "s4"},
        {"budget": "gpu"},
        {"device": "NVIDIA H100"},
        {"precision": "bf16"},
        {"headline": "recall"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_conditions_are_another_track(runs: Path, put: Put, other: dict[str, str]) -> None:
    put(0.4)
    put(0.6, **other)
    tracks = board(runs).tracks
    assert sorted(row.summary.mean for t in tracks for row in t.rows if row.summary) == [0.4, 0.6]
    assert [len(track.rows) for track in tracks] == [1, 1]
    assert len({track.key.anchor for track in tracks}) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"mixer": "attention"},
        {"options": {"state": 32}},
        {"kernel": "numba"},
        {"family": "x"},
        {"config": {"lr": 0.1}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_mixer_option_kernel_or_config_is_another_row(
    runs: Path, put: Put, other: dict[str, str]
) -> None:
    put(0.4)
    put(0.6, **other, run_id="other")
    assert len({row.label for row in only(runs).rows}) == 2


def test_how_a_run_was_housekept_does_not_make_a_row(runs: Path, put: Put) -> None:
    put(0.4, seed=0, config={"workers": 0, "force": False})
    put(0.6, seed=1, config={"workers": 2, "force": True})
    assert single(runs).planned == 2
    assert {"seed", *HOUSEKEEPING} == ASIDE


def test_a_label_says_what_differs_and_no_more(runs: Path, put: Put) -> None:
    put(options={"state": 16, "expand": 2}, config={"dim": 64})
    put(options={"state": 32, "expand": 2}, config={"dim": 60})
    put(mixer="attention", options={"heads": 4})
    labels = {row.label for row in only(runs).rows}
    assert labels == {"mamba state=16", "mamba state=32", "attention"}


def test_a_newer_run_of_a_seed_supersedes_even_when_it_failed(runs: Path, put: Put) -> None:
    put(0.9, seed=0, started="2026-11-01T10:00:00+00:00", run_id="a")
    put(0.5, seed=0, started="2026-11-01T10:30:00+01:00", run_id="b")  # earlier, in UTC
    assert single(runs).summary is not None
    assert single(runs).summary.mean == 0.9  # type: ignore[union-attr]
    put(seed=0, status="diverged", started="2026-11-02T00:00:00Z", run_id="c")
    assert single(runs).summary is None
    assert (len(single(runs).ok), single(runs).planned) == (0, 1)


def test_failed_seeds_count_and_two_of_three_are_provisional(runs: Path, put: Put) -> None:
    put(0.4, seed=0)
    put(0.5, seed=1)
    put(seed=2, status="oom", kernel=None)  # failed before a kernel was chosen
    row = single(runs)
    assert (len(row.ok), row.planned, row.provisional) == (2, 3, True)


def test_an_ok_run_whose_score_is_null_is_no_score(runs: Path, put: Put) -> None:
    put(None)
    assert single(runs).summary is None


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


def test_a_broken_record_is_named_and_the_rest_still_shown(runs: Path, put: Put) -> None:
    put()
    whole = (runs / "0" / "record.json").read_text()
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "newer": whole.replace('"schema_version": 2', '"schema_version": 99'),
        "typed": whole.replace('"steps": 100', '"steps": "many"'),
        "nan": whole.replace('"seconds": 12.5', '"seconds": NaN'),
        "nan_option": whole.replace('"options": {}', '"options": {"a": NaN}'),
        "binary": "\ud800",
    }.items():
        (runs / name).mkdir()
        (runs / name / "record.json").write_bytes(content.encode(errors="surrogatepass"))
    found = board(runs)
    assert len(found.tracks) == 1
    assert len(found.problems) == 6
    for name in ("cut", "newer", "typed", "nan", "binary"):
        assert any(f"{name}/record.json" in problem for problem in found.problems), name
    assert any("steps" in problem for problem in found.problems)


def test_one_run_id_with_two_contents_is_a_problem_and_a_copy_is_none(runs: Path, put: Put) -> None:
    put(0.5, run_id="same")
    put(0.5, run_id="same")
    assert board(runs).problems == ()
    put(0.7, run_id="same", started="2026-11-05T00:00:00Z")
    (problem,) = board(runs).problems
    assert "same" in problem
    assert single(runs).summary.mean == 0.7  # type: ignore[union-attr]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_contents_the_older_leaves_its_row_too(
    runs: Path, make: Put, order: tuple[int, int]
) -> None:
    both = [
        make(0.5, run_id="same", options={"a": 1}, started="2026-11-01T00:00:00Z"),
        make(0.7, run_id="same", options={"a": 2}, started="2026-11-05T00:00:00Z"),
    ]
    for place, i in enumerate(order):
        write(both[i], runs / str(place) / "record.json")
    assert single(runs).values == {0: 0.7}
    assert len(board(runs).problems) == 1


def test_a_failure_joins_no_kernel_where_two_ran(runs: Path, put: Put) -> None:
    put(0.5, seed=0, kernel="numba")
    put(0.6, seed=0, kernel="torch", run_id="other")
    put(seed=1, kernel=None, status="oom")
    planned = {row.label: row.planned for row in only(runs).rows}
    assert planned == {"mamba kernel=numba": 1, "mamba kernel=torch": 1, "mamba kernel=unknown": 1}


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment("2026-11-01T10:00:00") == moment("2026-11-01T11:00:00+01:00")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_record_says_what_to_type(runs: Path) -> None:
    with pytest.raises(zoo.ZooError, match="zoo run") as error:
        board(runs)
    assert error.value.exit_code == 2
    (runs / "x").mkdir(parents=True)
    (runs / "x" / "record.json").write_text("{")
    with pytest.raises(zoo.ZooError, match=r"1 unreadable(.|\n)*x/record.json"):
        board(runs)


def test_integers_beyond_float_are_no_measurement(runs: Path, put: Put) -> None:
    put(params=10**400)
    track = only(runs)
    assert track.cost(track.rows[0], PARAMS) is None
