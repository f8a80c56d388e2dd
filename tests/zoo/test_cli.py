"""The commands as a user types them: exit codes, streams, and what is not imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.cli import invoke

HEAVY = "import sys; from zoo.cli import invoke; code = invoke({words!r}); "
SEEN = "print('MODULES', [m for m in ('torch', 'lightning') if m in sys.modules], code)"


def fresh(*words: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, which says at its end what it has imported."""
    script = HEAVY.format(words=list(words)) + SEEN
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("run", "--help"),
        ("list",),
        ("plugins",),
        ("data", "list"),
        ("leaderboard", "--help"),
        ("run", "mixer=mamab", "task=copy"),
        ("run", "task=lr", "mixer=mamba"),
        ("run", "+mixer.x=1"),
        ("run", "mixr=mamba"),
    ],
    ids=" ".join,
)
def test_it_does_without_torch(words: tuple[str, ...]) -> None:
    assert "MODULES []" in fresh(*words).stdout


def test_a_command_that_does_not_train_does_without_lightning() -> None:
    done = fresh("run", "task=copy", "mixer=mamba", "budget=smoke", "--dry-run")
    assert "MODULES ['torch'] 0" in done.stdout


def test_a_misspelt_mixer_exits_2_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "mixer=mamab", "task=copy"]) == 2
    assert "did you mean 'mamba'?" in capsys.readouterr().err


def test_a_misspelt_command_exits_2_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["leadrboard"]) == 2
    assert "leaderboard" in capsys.readouterr().err


def test_list_names_every_shelf(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert {item["kind"] for item in out["items"]} == {
        "mixer",
        "position",
        "channel",
        "block",
        "task",
        "source",
    }
    assert {"kind": "mixer", "name": "mamba", "plugin": "mixer-zoo:ssm"} in out["items"]


def test_list_of_one_shelf(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", "channels"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("channel ") for line in lines)


def test_dry_run_shows_config_size_and_run_id(
    capsys: pytest.CaptureFixture[str], runs: Path
) -> None:
    assert invoke(["run", "task=copy", "mixer=mamba", "budget=smoke", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "name: mamba" in out
    assert "parameters" in out
    assert "run      " in out
    assert not runs.exists()


def test_sample_reads_like_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sample", "task=copy", "-n", "2", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 2
    assert all(set(row) == {"tokens", "target", "text"} for row in rows)


def test_doctor_says_which_kernels_are_here_and_why_others_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "mamba              numba, chunked, reference (mamba_ssm, triton)" in lines
    assert any(line.startswith("short_conv         numba, torch (causal_conv1d)") for line in lines)
    reasons = lines[lines.index("why not") :]
    assert any("mamba_ssm" in line and "pip install" in line for line in reasons)
    assert any(line.startswith("numba") and "not installed" not in line for line in lines)


def test_check_passes_and_fails_by_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "zoo_attention.full:Attention"]) == 0
    assert "every promise kept" in capsys.readouterr().out
    assert invoke(["check", "atention"]) == 2
    assert "did you mean 'attention'?" in capsys.readouterr().err
    assert invoke(["check", "builtins:dict"]) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        "",
        "x" * 300,
        "a\nb",
        ".a",
        "-a",
        "con",
        "a b",
        "none",
        "mamba",
        "hybrid",
        "1a",
    ],
)
def test_new_refuses_what_cannot_be_a_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert invoke(["new", "mixer", "--", name]) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_new_does_not_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["new", "mixer", "mine"]) == 0
    assert invoke(["new", "mixer", "mine"]) == 2
