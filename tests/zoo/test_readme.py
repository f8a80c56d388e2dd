"""The README's commands and its Python run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

import zoo
from zoo.cli import invoke

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
COMMANDS = [
    line.removeprefix("$ ")
    for language, text in BLOCK.findall(README)
    if language == "console"
    for line in text.splitlines()
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 8


RECORDS = ("zoo run", "zoo leaderboard", "zoo compare")
"""Commands that write or read records: a reader types them one after the other in one place."""


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(RECORDS)])
def test_a_command_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, *words = shlex.split(command)
    assert name == "zoo"
    assert invoke(words) == 0


def test_the_commands_with_records_run_in_turn_and_so_does_the_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in [c for c in COMMANDS if c.startswith(RECORDS)]:
        assert invoke(shlex.split(command)[1:]) == 0, command
    (source,) = [text for language, text in BLOCK.findall(README) if language == "python"]
    exec(compile(source, "README.md", "exec"), {})
    assert "smoke: not a result" in capsys.readouterr().out
    assert (tmp_path / "leaderboard.html").stat().st_size > 100_000


def test_every_name_on_a_shelf_is_in_its_table() -> None:
    for title, shelf in zoo.load().shelves.items():
        (row,) = [line for line in README.splitlines() if line.startswith(f"| {title} |")]
        # `pathfinder32-easy` is told as `pathfinder32` and each `-easy`
        named = {f"`{re.sub('-(easy|intermediate)$', '', name)}`" for name in shelf}
        assert named <= set(re.findall(r"`[^`]+`", row)), title
