"""`zoo leaderboard` as a user meets it: the terminal, the CSV, the JSON."""

import csv
import io
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pluggy
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

import zoo
import zoo_leaderboard
from zoo.record import Record
from zoo.registry import fill, resolve
from zoo_leaderboard.compare_command import compare
from zoo_leaderboard.export import content
from zoo_leaderboard.read import board
from zoo_leaderboard.terminal import MOST, show

Put = Callable[..., Record]
DASH = "\u2013"
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "=cmd()",
    "a\u202eb",
]


def run(*arguments: str | Path) -> Result:
    """The command as the core builds it: from the hook, by Typer, from its signature."""
    manager = pluggy.PluginManager("zoo")
    manager.register(zoo_leaderboard, name="leaderboard")
    command = resolve(*reversed(fill(manager).commands["leaderboard"]))
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "80"})


def test_importing_the_command_costs_nothing_heavy() -> None:
    code = (
        "import sys, zoo_leaderboard.command; "
        "heavy = {'torch', 'scipy', 'jinja2', 'vl_convert', 'pydantic', 'rich.table'}; "
        "print(heavy & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_table_shows_rank_interval_seeds_and_cost(runs: Path, put: Put) -> None:
    for seed, value in enumerate([0.4, 0.5, 0.6]):
        put(value, mixer="mamba", seed=seed, chance=0.1)
    put(0.9, mixer="attention", seed=0)
    put(mixer="attention", seed=1, status="oom")
    result = run("--runs", runs)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["2", "mamba", "0.500", f"0.252{DASH}0.748", "3/3", "200k", "1M", "1k"] in [
        line[:8] for line in lines
    ]
    assert ["1", "attention*", "0.900", DASH, "1/2"] in [line[:5] for line in lines]
    assert "* provisional: fewer than three seeds ended well" in result.stdout
    assert "accuracy: more is better; chance 0.100" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_terminal_shows_the_best_rows_and_says_how_many_more_there_are(
    runs: Path, put: Put
) -> None:
    for i in range(MOST + 7):
        put(i / 100, mixer=f"m{i:02}", chance=None)
    shown = run("--runs", runs).stdout
    best = [line.split()[1] for line in shown.splitlines() if line.split()[1:2] > ["m"]]
    assert [f"m{i:02}*" for i in range(MOST + 6, 6, -1)] == [b for b in best if b[1:3].isdigit()]
    assert "7 more rows, in --csv and --html" in shown


def test_an_exponent_comes_with_its_interval(runs: Path, put: Put) -> None:
    times = (1.0, 2.3, 3.7, 8.4, 15.0)
    put(0.5, forward_ms=dict(zip((256, 512, 1024, 2048, 4096), times, strict=True)))
    put(0.5, mixer="gru")  # measured at one length, which tells no exponent
    whole = board(runs)
    (growth,) = whole.tracks[0].growth.values()
    ends = [f"{end:.3g}" for end in (growth.exponent, growth.low, growth.high)]
    assert float(ends[1]) < float(ends[0]) < float(ends[2])
    cell = f"{ends[0]} ({ends[1]}{DASH}{ends[2]})"
    text = io.StringIO()
    show(whole, Console(file=text, width=200))
    for written in (text.getvalue(), content(whole, "md").decode()):
        lines = [line for line in written.splitlines() if cell in line]
        assert [line.count("mamba") for line in lines] == [1]


def test_a_long_name_folds_and_hides_no_figure(runs: Path, put: Put) -> None:
    for seed, value in enumerate([0.4, 0.5, 0.6]):
        put(value, mixer="x" * 2000, seed=seed)
        put(value + seed / 700, mixer="mamba", seed=seed)
    text = io.StringIO()
    show(board(runs), Console(file=text, width=100))
    whole = text.getvalue()
    (second,) = (line.split() for line in whole.splitlines() if line.startswith(" 2 "))
    assert second[4:7] == ["3/3", "200k", "1M"]
    assert max(map(len, whole.partition("is that a")[0].splitlines())) <= 100


def test_a_folded_table_keeps_its_figures_whole(runs: Path, put: Put) -> None:
    for seed in range(3):
        put(0.5, mixer="mamba", options={"a_long_option": 1}, seed=seed)
        put(0.5 + seed / 700, mixer="mamba", options={"a_long_option": 2}, seed=seed)
    app = typer.Typer()
    app.command()(compare)
    names = ("mamba a_long_option=1", "mamba a_long_option=2")
    told = CliRunner().invoke(app, [*names, "--runs", str(runs)], env={"COLUMNS": "72"})
    assert "-0.00212…+0.00498" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 72


def test_a_row_without_a_score_says_how_it_ended(runs: Path, put: Put) -> None:
    put(0.5)
    put(mixer="hyena", status="diverged")
    lines = [line.split() for line in run("--runs", runs).stdout.splitlines()]
    assert [DASH, "hyena*", "diverged", DASH, "0/1"] in [line[:5] for line in lines]


def test_a_smoke_run_is_said_to_be_no_result_everywhere(
    runs: Path, put: Put, tmp_path: Path
) -> None:
    put(budget="smoke")
    result = run("--runs", runs, "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json")
    assert result.stdout.count("smoke: not a result") == 2  # the suite and the track
    assert "smoke: not a result" in (tmp_path / "a.csv").read_text()
    whole = json.loads((tmp_path / "a.json").read_text())
    assert whole["tracks"][0]["note"] == whole["suites"][0]["note"] == "smoke: not a result"
    put(budget="cpu", task="copy")
    assert run("--runs", runs).stdout.count("smoke: not a result") == 2


def test_unreadable_records_are_listed_on_stderr(runs: Path, put: Put) -> None:
    put()
    (runs / "bad").mkdir()
    (runs / "bad" / "record.json").write_text("{")
    result = run("--runs", runs)
    assert result.exit_code == 0
    assert "bad/record.json" in result.stderr
    assert "bad/record.json" not in result.stdout
    assert "mamba" in result.stdout


def test_no_records_is_a_zoo_error_for_the_shell(runs: Path) -> None:
    assert isinstance(run("--runs", runs).exception, zoo.ZooError)


def test_the_folder_comes_from_the_environment(
    runs: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(mixer="from_environment")
    monkeypatch.setenv("ZOO_RUNS", str(runs))
    assert "from_environment" in run().stdout


def test_csv_has_one_line_per_row_and_json_the_same_rows(
    runs: Path, put: Put, tmp_path: Path
) -> None:
    put(0.4, seed=0, run_id="first")
    put(0.6, seed=1, run_id="second")
    put(0.7, task="copy", run_id="third")
    run("--runs", runs, "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json")
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    tracks = json.loads((tmp_path / "a.json").read_text())["tracks"]
    rows = [(track, row) for track in tracks for row in track["rows"]]
    assert [(line["task"], line["runs"]) for line in lines] == [
        ("copy", "third"),
        ("lra/listops", "first second"),
    ]
    for line, (track, row) in zip(lines, rows, strict=True):
        assert line["task"] == track["task"]
        assert float(line["mean"]) == row["mean"]
        assert float(line["params"]) == row["params"] == 200_000
        assert [one["run_id"] for one in row["runs"]] == line["runs"].split()
        assert {one["commit"] for one in row["runs"]} == {"4351596"}
        assert {one["config_sha256"] for one in row["runs"]} == {*line["config_sha256"].split()}


def test_no_cell_of_the_csv_is_a_formula(runs: Path, put: Put, tmp_path: Path) -> None:
    names = ["=cmd()", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "plain"]
    for name in names:
        put(-0.5, mixer=name, headline="correlation", family=name)
    run("--runs", runs, "--csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["mixer"] for line in lines} == {"plain", *(f"'{name}" for name in names[:-1])}
    assert {line["mean"] for line in lines} == {"-0.5"}
    assert not any(
        cell.startswith(("=", "+", "@", "\t", "\r")) for line in lines for cell in line.values()
    )


def test_hostile_names_reach_the_terminal_as_text(runs: Path, put: Put) -> None:
    for name in [*HOSTILE, "[red]x[/red]", "\x1b[2Jgone"]:
        put(mixer=name)
    text = run("--runs", runs).stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a\\u202eb" in text
    assert "[red]x[/red]" in text


def test_an_output_that_cannot_be_written_is_named(runs: Path, put: Put, tmp_path: Path) -> None:
    put()
    error = run("--runs", runs, "--csv", tmp_path).exception
    assert isinstance(error, zoo.ZooError)
    assert str(tmp_path) in str(error)


def test_tasks_of_a_suite_without_records_are_told_below_the_table(runs: Path, put: Put) -> None:
    averages = {"Avg2": ["lra/listops", "lra/text"]}
    put(0.4, task="lra/listops", averages=averages)
    text = run("--runs", runs).stdout
    assert "no record here: lra/text" in text
    assert text.splitlines()[2].split() == ["mixer", "Avg2", "listops"]


def test_what_to_type_next_works_as_it_stands(runs: Path, put: Put) -> None:
    for state in (16, 32):
        put(0.4, mixer="a mamba", options={"state": state})
    put(0.4, mixer="a mamba", task="lra/text")
    text = " ".join(run("--runs", runs).stdout.split())
    words = shlex.split(text.partition("zoo compare ")[2].partition(" provenance")[0])
    assert words == ["a mamba state=16", "a mamba state=32", "--task", "lra/listops"]
    app = typer.Typer()
    app.command()(compare)
    assert CliRunner().invoke(app, [*words, "--runs", str(runs)]).exit_code == 0


def test_a_suite_shows_ranks_over_the_tasks_it_has(runs: Path, put: Put) -> None:
    for mixer, first, second in (("gru", 0.4, 0.9), ("mamba", 0.5, 0.8), ("s4d", 0.6, 0.7)):
        put(first, mixer=mixer, task="lra/a")
        put(second, mixer=mixer, task="lra/b")
    put(0.99, mixer="lone", task="lra/a")
    lines = [line.split() for line in run("--runs", runs).stdout.splitlines()]
    assert ["mixer", "mean", "rank", "a", "b"] in lines
    assert ["mamba*", "0.650", "2.00", "0.500", "0.800"] in lines
    assert ["lone*", DASH, DASH, "0.990", "missing"] in lines


def test_which_way_is_better_is_said_everywhere(runs: Path, put: Put) -> None:
    put(1.5, headline="bits_per_byte", higher_is_better=False, chance=None)
    whole = board(runs)
    assert "bits_per_byte: less is better" in run("--runs", runs).stdout
    assert "bits_per_byte: less is better" in content(whole, "md").decode()
