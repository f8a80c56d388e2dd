"""Which records make a row, and which rows may be ranked together."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from zoo.keys import HOUSEKEEPING
from zoo.record import Record, write
from zoo_leaderboard.age import moment
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.label import ASIDE
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
