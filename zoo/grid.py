"""Many runs, one after the other, each in a process of its own: one that dies stops no other."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from zoo import record as records
from zoo.errors import Diverged, ZooError
from zoo.plan import Plan, plan
from zoo.record import Record
from zoo.registry import load
from zoo.runner import execute, finished


@dataclass
class Summary:
    """How a grid ended: names of the runs by outcome, and the records there are."""

    ok: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    signum: int | None = None

    @property
    def exit_code(self) -> int:
        """0 when all is well, 128 + n when signal n ended the grid, else 1."""
        return 128 + self.signum if self.signum else int(bool(self.failed))


def run_grid(plans: Sequence[Plan], runs: Path) -> Summary:
    """Run what is not finished; a signal ends the run at work and those that wait."""
    summary, context = Summary(), _context()
    child: Any = None

    def forward(signum: int, frame: FrameType | None) -> None:
        summary.signum = signum
        if child is not None and child.is_alive():
            os.kill(child.pid, signum)  # from a terminal it has it already: then this is the second

    before = {s: signal.signal(s, forward) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number, one in enumerate(plans, start=1):
            if summary.signum:
                summary.failed[one.name] = "not started"
                continue
            done = finished(one, runs)
            if done:
                summary.skipped.append(one.name)
                summary.records.append(done)
                continue
            print(f"[{number}/{len(plans)}] {one.name}", file=sys.stderr, flush=True)
            child = context.Process(target=_work, args=(one.config, one.run_id, runs))
            child.start()
            child.join()
            _note(summary, one, runs, child.exitcode)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return summary


def _context() -> Any:
    """Forked from a server that has imported Lightning once and computed nothing: cheap, clean."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zoo.grid"])
    return context


def _work(config: Mapping[str, Any], run_id: str, runs: Path) -> None:
    """One run, in the child; the id is the parent's, even if a source file was edited since."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which passes it on once
    try:
        _, code = execute(replace(plan(load(), config), run_id=run_id), runs)
    except ZooError as error:
        print(f"zoo: {error}", file=sys.stderr)
        code = error.exit_code
    sys.exit(code)


def _note(summary: Summary, one: Plan, runs: Path, code: int) -> None:
    """Enter one run's end into the summary: the file is the truth, the exit code fills in."""
    path = runs / one.name / "record.json"
    if code == 0 or code == Diverged.exit_code:
        record = records.read(path)
        summary.records.append(record)
    if code == 0:
        summary.ok.append(one.name)
    elif code < 0:
        summary.failed[one.name] = f"killed by signal {-code}; the same command resumes it"
    else:
        reason = records.read(path).failure if path.exists() else None
        summary.failed[one.name] = reason.message if reason else f"exit code {code}"
