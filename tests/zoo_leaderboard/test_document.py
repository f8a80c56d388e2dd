"""The document that the page draws and `--json` writes: its shape, and that it is true."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.record import Metric, Record, write
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.document import document
from zoo_leaderboard.read import board

Put = Callable[..., Record]
ROW = {
    "rank", "label", "mixer", "family", "kernel", "mean", "low", "high", "sd", "seeds_ok",
    "seeds_planned", "provisional", "above_chance", "tags", "values", "curve", "losses",
    "validated", "lr", "sweep", "options", "config", "on_front", "runs", "outcome",
    "time_exponent_low", "time_exponent_high",
}  # fmt: skip
RUN = {
    "run_id", "seed", "lr", "status", "failure", "value", "split", "items", "best_step",
    "config_sha256", "commit", "dirty", "python", "torch", "device", "precision", "kernel",
    "deterministic", "plugins", "data", "started", "seconds", "steps", "tokens", "resumed",
    "missing", "shown",
}  # fmt: skip


def made(runs: Path) -> dict[str, Any]:
    """As a browser would get it: through JSON, NaN refused."""
    whole: dict[str, Any] = json.loads(json.dumps(document(board(runs)), allow_nan=False))
    return whole


def test_the_shape_is_what_the_page_was_told(runs: Path, put: Put) -> None:
    for seed, value in enumerate([0.4, 0.5, 0.6]):
        put(value, seed=seed, curve={64: 0.5, 128: value})
    put(mixer="gru", status="oom")
    whole = made(runs)
    assert {*whole} == {
        "format", "made", "columns", "tracks", "suites", "profiles", "published", "findings",
        "problems",
    }  # fmt: skip
    assert whole["format"] == 2
    assert whole["made"] == {
        "records": 4,
        "newest": "2026-11-01T10:00:00+00:00",
        "commits": ["4351596"],
        "zoo": version("mixer-zoo"),
    }
    keys = [column["key"] for column in whole["columns"]]
    assert keys == [column.key for column in COLUMNS]
    assert all(column["help"] for column in whole["columns"])
    (track,) = whole["tracks"]
    assert track["range"] == [0, 1]
    for row in track["rows"]:
        assert {*row} == ROW | {*keys}
        assert {key for run in row["runs"] for key in run} == RUN
    best, failed = track["rows"]
    assert (best["values"], best["sd"]) == (
        {"0": 0.4, "1": 0.5, "2": 0.6},
        pytest.approx(0.1),
    )
    assert [one["length"] for one in best["curve"]] == [64, 128]
    assert (failed["mean"], failed["rank"], failed["outcome"]) == (None, None, "oom")
    assert "params" in best["on_front"]
    assert failed["on_front"] == []
    assert [(run["items"], run["value"]) for run in best["runs"]] == [
        (1000, 0.4), (1000, 0.5), (1000, 0.6),
    ]  # fmt: skip
    assert "seed" not in best["config"]
    assert best["config"]["lr"] == best["lr"] == 0.001


def test_a_sweep_is_told_whole_and_its_other_runs_are_not_shown(
    runs: Path, make: Put, put: Put
) -> None:
    for lr, valid in {0.001: 0.3, 0.01: 0.6, 0.1: 0.5}.items():
        one = make(valid - 0.1, config={"lr": lr}, run_id=str(lr))
        more = Metric(value=valid, split="valid", higher_is_better=True, chance=0.1, n=9)
        one = one.model_copy(update={"metrics": {**one.metrics, "valid_accuracy": more}})
        write(one, runs / f"lr{lr}" / "record.json")
    (row,) = made(runs)["tracks"][0]["rows"]
    assert (row["lr"], row["lr_window"], row["mean"]) == (0.01, 0.0, 0.5)
    assert row["sweep"][1] == {
        "lr": 0.01, "valid": 0.6, "mean": 0.5, "seeds_ok": 1, "seeds_planned": 1,
        "chosen": True, "good": True,
    }  # fmt: skip
    assert [(run["run_id"], run["lr"], run["shown"]) for run in row["runs"]] == [
        ("0.01", 0.01, True),
        ("0.001", 0.001, False),
        ("0.1", 0.1, False),
    ]
    assert made(runs)["made"]["records"] == 3


def test_the_course_of_training_is_told_in_five_digits(runs: Path, make: Put) -> None:
    for seed in (0, 1):
        one = make(0.5, seed=seed).model_copy(
            update={"losses": {10: 1.0 + seed / 3}, "validated": {10: 0.25 * (1 + seed)}}
        )
        write(one, runs / str(seed) / "record.json")
    (row,) = made(runs)["tracks"][0]["rows"]
    assert row["losses"] == [{"step": 10, "loss": 1.1667, "low": 1.0, "high": 1.3333}]
    assert row["validated"] == [{"step": 10, "mean": 0.375, "low": 0.25, "high": 0.5}]


def test_many_rows_have_fewer_points_each(runs: Path, make: Put) -> None:
    losses = dict.fromkeys(range(1, 101), 1.0)
    for i in range(620):
        one = make(0.5, options={"i": i}, run_id=str(i)).model_copy(update={"losses": losses})
        write_fast(one, runs / str(i))
    rows = made(runs)["tracks"][0]["rows"]
    assert 1 < max(len(row["losses"]) for row in rows) <= 60_000 / 620
    assert {row["losses"][-1]["step"] for row in rows} == {100}


def write_fast(record: Record, folder: Path) -> None:
    """Without waiting for the disk."""
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.model_dump_json())


def test_ranks_are_among_the_mixers_that_have_every_task(runs: Path, put: Put) -> None:
    scores = {
        "lra/a": {"mamba": 0.9, "s4d": 0.5, "gru": 0.95, "hyena": 0.5},
        "lra/b": {"mamba": 0.7, "s4d": 0.8, "hyena": 0.1},
    }
    for task, rows in scores.items():
        for mixer, value in rows.items():
            put(value, task=task, mixer=mixer)
    (suite,) = made(runs)["suites"]
    assert suite["rank_tasks"] == ["lra/a", "lra/b"]
    ranks = {row["label"]: [cell["rank"] for cell in row["cells"]] for row in suite["rows"]}
    assert ranks == {"mamba": [1, 2], "s4d": [2.5, 1], "hyena": [2.5, 3], "gru": [None, None]}
    means = {row["label"]: row["rank_mean"] for row in suite["rows"]}
    assert means == {"mamba": 1.5, "s4d": 1.75, "hyena": 2.75, "gru": None}


def test_ranks_need_no_common_metric_but_each_its_direction(runs: Path, put: Put) -> None:
    for mixer, accuracy, bits in (("a", 0.4, 1.0), ("b", 0.5, 2.0), ("z", 0.6, 0.5)):
        put(accuracy, task="lm/words", mixer=mixer)
        put(bits, task="lm/bytes", mixer=mixer, headline="bits_per_byte", higher_is_better=False)
    (suite,) = made(runs)["suites"]
    assert [row["label"] for row in suite["rows"]] == ["z", "a", "b"]
    assert not suite["comparable"]
    assert suite["rank_tasks"] == ["lm/bytes", "lm/words"]
    assert {row["label"]: [cell["rank"] for cell in row["cells"]] for row in suite["rows"]} == {
        "z": [1, 1],
        "a": [2, 3],
        "b": [3, 2],
    }


def test_tags_say_what_must_be_known_before_quoting(runs: Path, put: Put, make: Put) -> None:
    put(0.05, chance=0.1)
    env = make().env.model_copy(update={"commit": "other", "dirty": True})
    write(make(0.06, seed=1).model_copy(update={"env": env}), runs / "other" / "record.json")
    (row,) = made(runs)["tracks"][0]["rows"]
    assert row["tags"] == [
        "provisional",
        "not above chance",
        "several commits",
        "uncommitted changes",
    ]


def test_an_empty_board_is_a_document_too(runs: Path) -> None:
    with pytest.raises(zoo.ZooError):
        board(runs)
    whole = document(board(runs, empty_ok=True))
    assert (whole["tracks"], whole["suites"], whole["profiles"]) == ([], [], [])
    assert whole["made"]["records"] == 0
    assert whole["made"]["newest"] == ""


def test_the_newest_record_is_named_by_its_time(runs: Path, put: Put) -> None:
    for mixer, day in (("a", 1), ("b", 9), ("c", 5)):
        put(mixer=mixer, started=f"2026-11-0{day}T00:00:00+00:00")
    assert made(runs)["made"]["newest"] == "2026-11-09T00:00:00+00:00"
