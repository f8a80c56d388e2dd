"""Many runs by one command: one that dies stops no other, and the same command mends it."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from zoo.cli import invoke
from zoo.record import Metric, Record, TaskPart, read
from zoo.report import aggregates

FRAGILE = '''
"""Copy, with a run that dies as its options say."""
import os, signal
import zoo
from zoo_synthetic.copying import Copy


class Fragile(Copy):
    def __init__(self, *, budget: zoo.Budget = "smoke", death: int = -1, slow: int = 0) -> None:
        super().__init__(budget=budget, test_length=32)
        self.death, self.slow = death, slow

    def train_batch(self, seed: int, step: int, batch_size: int) -> zoo.Batch:
        import pathlib, time
        time.sleep(self.slow)
        once = pathlib.Path(os.environ["ZOO_RUNS"]) / f"died-{self.death}"
        if step == self.death and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 2 and self.death == 99:
            raise RuntimeError("a bug of its own")
        return super().train_batch(seed, step, batch_size)


@zoo.hookimpl
def zoo_tasks() -> dict[str, type[zoo.Task]]:
    return {"fragile": Fragile}
'''
WORDS = "task=fragile mixer=mamba mixer.state=4 dim=8 depth=1 steps=6 batch_size=4 budget=smoke"
COMMAND = [*WORDS.split(), "evaluate_every=3", "checkpoint_every=1", "loggers=[csv]"]
Install = Callable[[str, str], Path]


def zoo_run(*more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "zoo", "run", *COMMAND, *more]
    return subprocess.run(words, capture_output=True, text=True, timeout=240)


def records(runs: Path) -> dict[int, Record]:
    found = [read(path) for path in runs.rglob("record.json")]
    return {record.config["task"]["death"]: record for record in found}


def test_a_run_that_is_killed_stops_no_other_and_resumes_to_the_same_bits(
    install: Install, runs: Path
) -> None:
    install("zoo-fragile", FRAGILE)
    runs.mkdir()
    first = zoo_run("-m", "task.death=-1,3,99")
    assert first.returncode == 1, first.stderr
    assert "1 ok, 0 skipped, 2 failed" in first.stdout
    assert "killed by signal 9; the same command resumes it" in first.stdout
    assert "a bug of its own" in first.stdout
    second = zoo_run("-m", "task.death=-1,3")
    assert second.returncode == 0, second.stderr
    assert "1 ok, 1 skipped, 0 failed" in second.stdout
    whole, again = records(runs)[-1], records(runs)[3]
    assert again.resumed == [3]
    assert again.metrics == whole.metrics
    assert again.curve == whole.curve


def test_ctrl_c_ends_the_run_at_work_and_those_that_wait(install: Install, runs: Path) -> None:
    install("zoo-fragile", FRAGILE)
    words = [sys.executable, "-m", "zoo", "run", *COMMAND, "-m", "task.slow=1", "seed=0,1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        deadline = time.monotonic() + 120
        while not list(runs.rglob("step-1.*.ckpt")):
            assert time.monotonic() < deadline, "the first run never started"
            time.sleep(0.1)
        one.send_signal(signal.SIGINT)
        out, _ = one.communicate(timeout=60)
    assert one.returncode == 130
    assert "0 ok, 0 skipped, 2 failed" in out
    assert "stopped by signal 2" in out
    assert "not started" in out
    (record,) = (json.loads(p.read_text()) for p in runs.rglob("record.json"))
    assert record["status"] == "killed"


@pytest.mark.slow
@pytest.mark.parametrize("death", [0, 1, 2, 3, 4, 5])
def test_a_run_killed_at_any_step_ends_with_the_same_metrics(
    death: int, install: Install, runs: Path
) -> None:
    install("zoo-fragile", FRAGILE)
    runs.mkdir()
    assert zoo_run(f"task.death={death}").returncode == -signal.SIGKILL
    assert zoo_run(f"task.death={death}").returncode == 0
    assert zoo_run().returncode == 0
    assert records(runs)[death].metrics == records(runs)[-1].metrics


def test_a_suite_runs_and_averages_within_its_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    words = "task=lm mixer=attention dim=8 depth=1 steps=2 batch_size=2 budget=smoke task.length=32"
    assert invoke(["run", *words.split(), "loggers=[]"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"lm \(zoo, smoke\) attention: bits_per_byte mean \d\.\d{4}\n", out)
    assert "1 ok, 0 skipped, 0 failed" in out


def test_named_means_are_told_with_what_they_lack(runs: Path) -> None:
    def ran(task: str, value: float) -> Record:
        metric = Metric(value=value, split="test", higher_is_better=True, n=10)
        averages = {"Avg2": ["s/a", "s/b"], "Avg3": ["s/a", "s/b", "s/c"]}
        part = TaskPart(name=task, id="0", protocol="zoo", budget="cpu", averages=averages)
        return record.model_copy(update={"task": part, "metrics": {"accuracy": metric}})

    one = zoo.run("task=copy", "mixer=linear_attention", "budget=smoke", "dim=8", "steps=1")
    record = one.model_copy(update={"headline": "accuracy"})
    assert aggregates([ran("s/a", 0.2)]) == []
    (line,) = aggregates([ran("s/a", 0.2), ran("s/b", 0.4), ran("s/b:other", 0.9)])
    assert line == "s (zoo, cpu) linear_attention: accuracy Avg2 0.3000, Avg3 none (no s/c)"
