"""A stranger's one-module package is listed, checked, trained; the guide is followed literally."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import invoke

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "own-mixer.md"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.M | re.S)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and a site folder that pip installs into and Python looks into."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def shell(line: str) -> str:
    """Run a line of the guide. Only `pip install` is changed: into the site folder, no network."""
    words = shlex.split(line)
    if words[:2] == ["pip", "install"]:
        (package,) = [word for word in words[2:] if not word.startswith("-")]
        offline = ["--no-deps", "--no-build-isolation", "--upgrade", "--target", "site"]
        words = [sys.executable, "-m", "pip", "install", "-q", *offline, f"./{package}"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_what_zoo_new_writes_passes_its_own_test_and_runs(there: Path) -> None:
    shell("zoo new mixer mine")
    assert len((there / "mine" / "pyproject.toml").read_text().splitlines()) == 7
    shell("pip install mine")
    assert "mine                 zoo-mine:mine" in shell("zoo list")
    assert "every promise kept" in shell("zoo check mine")
    assert "passed" in shell("python -m pytest -q mine")
    small = "dim=8 depth=1 steps=2 batch_size=2 budget=smoke task.test_length=32"
    assert "record" in shell(f"zoo run task=copy mixer=mine {small}")


def test_the_guide_can_be_followed_literally(there: Path) -> None:
    blocks = BLOCK.findall(GUIDE.read_text())
    assert len(blocks) >= 4
    for language, name, text in blocks:
        if name:
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_text(text)
        elif language == "console":
            lines = text.splitlines()
            for number, line in enumerate(lines):
                if not line.startswith("$ "):
                    continue
                out = shell(line.removeprefix("$ "))
                shown = []
                for after in lines[number + 1 :]:
                    if after.startswith("$ "):
                        break
                    shown.append(after)
                for wanted in shown:
                    if wanted and wanted != "...":
                        assert wanted in out, f"{line} does not print {wanted!r}:\n{out}"


BAD = """
import zoo
from zoo_ema_for_tests import Ema


class Leaks(Ema):
    def forward(self, x, lengths=None):
        return super().forward(x) + 0.01 * x.roll(-1, dims=1)


class Lies(Ema):
    def state_size(self, length):
        return 1


class Mingles(Ema):
    def forward(self, x, lengths=None):
        return super().forward(x) + 0.01 * x.mean(0)


@zoo.hookimpl
def zoo_mixers():
    return {"leaks": Leaks, "lies": Lies, "mingles": Mingles}
"""


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("leaks", "FAIL  causal-causality"),
        ("lies", "FAIL  causal-state size is what is carried"),
        ("mingles", "FAIL  causal-batch independence"),
    ],
)
def test_a_bad_mixer_of_a_strangers_package_fails_by_the_promise_it_breaks(
    name: str,
    promise: str,
    install: Callable[[str, str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (ema,) = [text for _, title, text in BLOCK.findall(GUIDE.read_text()) if title]
    site = install("zoo-bad", BAD)
    (site / "zoo_ema_for_tests.py").write_text(ema)
    assert invoke(["check", name]) == 1
    out = capsys.readouterr().out
    assert promise in out
    assert "ok    causal-determinism" in out
