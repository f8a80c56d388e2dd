"""Many runs, one after the other, each in a process of its own: one that dies stops no other."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from zoo import record as records
from zoo.errors import DataError, Diverged, ZooError
from zoo.plan import Plan, plan
from zoo.record import Record
from zoo.registry import load
from zoo.runner import execute, finished
from zoo.signals import STOPPING

FORWARDED = tuple(s for s in STOPPING if s != getattr(signal, "SIGUSR1", None))


@dataclass
class Summary:
    """How a grid ended: names of the runs by outcome, and the records there are."""

    ok: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Runs that were not started, since their data is not here, and what to type."""
    failed: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    signum: int | None = None

    def add(self, name: str, record: Record, good: list[str]) -> None:
        """A finished run: among the ``good`` ones, unless it finished by diverging."""
        self.records.append(record)
        if record.status == "ok":
            good.append(name)
        else:
            self.failed[name] = record.failure.message if record.failure else record.status

    @property
    def exit_code(self) -> int:
        """0 when all is well, 128 + n when signal n ended the grid, 3 where only data lacked."""
        if self.signum:
            return 128 + self.signum
        return 1 if self.failed else DataError.exit_code if self.missing else 0


def run_grid(plans: Sequence[Plan], runs: Path) -> Summary:
    """Run what is not finished; a signal ends the run at work and those that wait."""
    summary, context = Summary(), _context()
    child: Any = None
    at_work = False

    def forward(signum: int, frame: FrameType | None) -> None:
        summary.signum = signum
        if at_work and child.is_alive():
            os.kill(child.pid, signum)

    before = {s: signal.signal(s, forward) for s in FORWARDED}
    try:
        for number, one in enumerate(plans, start=1):
            if summary.signum:
                summary.failed[one.name] = "not started"
                continue
            try:
                done = finished(one, runs)
            except DataError as error:
                summary.failed[one.name] = str(error)
                continue
            if done:
                summary.add(one.name, done, summary.skipped)
                continue
            if lacks := one.task.missing():
                summary.missing[one.name] = lacks
                continue
            print(f"[{number}/{len(plans)}] {one.name}", file=sys.stderr, flush=True)
            child = context.Process(target=_work, args=(one.config, one.run_id, runs))
            with _held():  # a child that is still importing gets its signal when it can take it
                child.start()
            at_work = True
            if summary.signum:  # it came while the child was being started
                os.kill(child.pid, summary.signum)
            child.join()
            at_work = False
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
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        _, code = execute(replace(plan(load(), config), run_id=run_id), runs)
    except ZooError as error:
        print(f"zoo: {error}", file=sys.stderr)
        code = error.exit_code
    sys.exit(code)


def _die_with_parent() -> None:
    """A driver that was killed leaves no child at work: it checkpoints and ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _held() -> Iterator[None]:
    """Signals wait; what is started meanwhile inherits that, until `Stop` lets them in."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _note(summary: Summary, one: Plan, runs: Path, code: int) -> None:
    """Enter one run's end into the summary: the file is the truth, the exit code fills in."""
    path = runs / one.name / "record.json"
    if code < 0:
        summary.failed[one.name] = f"killed by signal {-code}; the same command resumes it"
        return
    try:
        record = records.read(path)
    except DataError as error:
        summary.failed[one.name] = f"exit code {code}; {error}"
        return
    if code in (0, Diverged.exit_code):
        summary.add(one.name, record, summary.ok)
    else:
        why = record.failure.message if record.failure else "see above"
        summary.failed[one.name] = why
