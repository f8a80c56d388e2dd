"""One call of `zoo profile` with workers that only pretend: turns, signals, deaths, what is kept.

What they answer is made up; when they are asked, and what comes of how they fail, is not.
"""

import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from zoo import memory, registry
from zoo.cli import invoke
from zoo.errors import Killed
from zoo.profile import command, process, record, session
from zoo.profile.cell import Cell
from zoo.profile.command import measured
from zoo.profile.process import Missed, Process
from zoo.profile.record import Profile
from zoo.profile.words import read

SHELVES = registry.load()
WORKER = """
import json, os, signal, sys, time
fates, once = json.loads(sys.argv[1]), sys.argv[2]
figures = {
    "probe": {"matmul_flops": 1e9, "bandwidth": 1e9, "threads": 1},
    "build": {"params": 7, "flops": 100.0, "state_closed_form": 8},
    "memory": {"bytes": 1000, "seconds": 0.001, "kernel": "made-up"},
    "reach": {"bytes": 8, "seconds": 0.001},
    "count": {"flops_counted": 90.0, "moved_bytes": 50.0, "least_bytes": 40.0, "seconds": 0.001},
    "time": {"seconds": 0.001, "kernel": "made-up"},
    "energy": {"joules": None, "untold": "no counter"},
}
reached = False
for line in sys.stdin:
    request = json.loads(line)
    name = request["do"]
    asked = f"{name} {request['what']}" if "what" in request else name
    reached = reached or name == "reach"
    answer = figures[name]
    fate = fates.get(asked)
    if asked == "time decode" and not reached:
        answer = {"miss": {"kind": "failed", "reason": "there is no state"}}
    if fate == "die" and not os.path.exists(once):
        open(once, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "hang":
        open(once, "w").close()
        time.sleep(600)
    if isinstance(fate, float):
        answer = {**answer, "seconds": fate}
    if isinstance(fate, list):
        answer = {"miss": {"kind": fate[0], "reason": fate[1]}}
    print(json.dumps(answer), flush=True)
"""
Pretend = Callable[..., list[Process]]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pretend]:
    """Workers answer at once, but for what ``fates`` says; returns the list of those that live."""
    every: list[Process] = []
    born = Process.__init__

    def note(self: Process) -> None:
        born(self)
        every.append(self)

    def begin(**fates: Any) -> list[Process]:
        told = {key.replace("_", " "): fate for key, fate in fates.items()}
        once = tmp_path / "once"
        words = (sys.executable, "-I", "-S", "-c", WORKER, json.dumps(told), str(once))
        monkeypatch.setattr(process, "COMMAND", words)
        monkeypatch.setattr(Process, "__init__", note)
        return every

    yield begin
    for one in every:
        one.kill()


def ask(*words: str, runs: Path, multirun: bool = True) -> list[Profile]:
    return measured(SHELVES, read(SHELVES, words, multirun=multirun), runs)


WORDS = ("mixer=lru", "length=16,32", "dim=16", "rounds=3")


def test_cells_take_turns_in_an_order_that_rotates_and_memory_comes_first(
    runs: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend()
    log: list[tuple[str, str]] = []
    plain = Cell.ask

    def watched(self: Cell, name: str, request: Any) -> Any:
        log.append((self.profile.mixer, f"{request['do']} {name}"))
        return plain(self, name, request)

    monkeypatch.setattr(Cell, "ask", watched)
    ask("mixer=lru,mamba,attention", "length=16", "dim=16", "rounds=4", runs=runs)
    names = ["lru", "mamba", "attention"]
    forward = [mixer for mixer, asked in log if asked == "time forward"]
    assert forward == [*names, *names[1:], names[0], names[2], *names[:2], *names]
    first = [asked for _, asked in log].index("time forward")
    assert all(asked.startswith(("memory", "reach", "count")) for _, asked in log[:first])
    of_round = [asked for _, asked in log[first : first + 12]]
    assert of_round[::3] == ["time forward", "time train", "time prefill", "time decode"]


def test_all_cells_of_a_call_are_of_one_session(
    runs: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend()
    seconds = count()  # it takes long to look at each
    monkeypatch.setattr(command, "now", lambda: f"2026-01-01T00:00:{next(seconds):02}+00:00")
    found = ask("mixer=lru,mamba,attention", "length=16", "dim=16", "rounds=3", runs=runs)
    assert len({one.session for one in found}) == 1


def test_an_interrupted_call_keeps_its_lengths_and_the_same_words_go_on(
    runs: Path,
    pretend: Pretend,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    living = pretend()
    write = record.write

    def then_stop(profile: Profile, folder: Path) -> Path:
        path = write(profile, folder)
        os.kill(os.getpid(), signal.SIGINT)
        return path

    with monkeypatch.context() as patch:
        patch.setattr(record, "write", then_stop)
        assert invoke(["profile", *WORDS]) == 130
    assert "the same command resumes" in capfd.readouterr().err
    assert not any(one.alive for one in living)
    (kept,) = record.read_all(runs)
    assert isinstance(kept, Profile)
    assert [p.length for p in kept.points] == [16]
    late = "2030-01-01T00:00:00+00:00"
    monkeypatch.setattr(command, "now", lambda: late)
    (whole,) = ask(*WORDS, runs=runs)
    assert [p.length for p in whole.points] == [16, 32]
    assert whole.points[0] == kept.points[0]
    # what was measured in turns with others is told by the session of each point
    assert whole.session == kept.session
    assert [p.session for p in whole.points] == [None, late]


PHASES = ("probe", "build", "memory_forward", "reach", "count", "time_train", "energy")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_any_phase_leaves_no_worker(
    phase: str, signum: int, runs: Path, tmp_path: Path, pretend: Pretend
) -> None:
    living = pretend(**{phase: "hang"})
    hung = tmp_path / "once"

    def strike() -> None:
        while not hung.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    threading.Thread(target=strike, daemon=True).start()
    with pytest.raises(Killed) as stopped:
        ask(*WORDS, runs=runs)
    assert stopped.value.exit_code == 128 + signum
    assert living
    assert not any(one.alive for one in living)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_worker_that_the_system_kills_is_a_point_and_another_takes_over(
    runs: Path, pretend: Pretend
) -> None:
    living = pretend(time_train="die")
    (one,) = ask("mixer=lru", "length=16", "dim=16", "rounds=3", runs=runs)
    (point,) = one.points
    assert point.missing["train_ms"].kind == "oom"
    assert "SIGKILL" in point.missing["train_ms"].reason
    assert point.train_bytes == 1000  # what was measured before stays
    assert set(point.missing) == {"train_ms", "joules"}
    for timing in (point.forward_ms, point.prefill_ms, point.decode_ms):
        assert timing is not None
        assert timing.n == 3
    assert len(living) == 3  # the probe, and two


def test_a_worker_that_hangs_is_slow_and_the_longer_lengths_are_spared(
    runs: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(time_prefill="hang")
    monkeypatch.setattr(Cell, "_patience", lambda self, name: 0.5)
    (one,) = ask(*WORDS, runs=runs)
    short, long = one.points
    assert short.missing["prefill_ms"].kind == "slow"
    assert "was stopped" in short.missing["prefill_ms"].reason
    assert long.missing["prefill_ms"].reason.startswith("not tried: at 16, it had not ended")
    for point in one.points:
        assert point.missing["decode_ms"].kind == "slow"
        assert point.train_ms is not None


def test_what_is_known_or_lost_is_not_asked_again(
    runs: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    plain = Process.ask

    def watched(self: Process, request: Any, seconds: float) -> Any:
        asked.append(f"{request['do']} {request.get('what', '')}".strip())
        return plain(self, request, seconds)

    monkeypatch.setattr(Process, "ask", watched)
    pretend()
    ask("mixer=lru", "length=16", "dim=16", "rounds=3", runs=runs)
    assert asked.count("reach") == 1
    assert asked.count("time decode") == 3
    asked.clear()
    pretend(time_prefill=["failed", "no"])
    ask("mixer=lru", "length=16", "dim=32", "rounds=3", runs=runs)
    assert asked.count("time prefill") == 1
    assert "time decode" not in asked


def test_a_first_call_beyond_the_limit_is_slow_and_tells_its_memory(
    runs: Path, pretend: Pretend
) -> None:
    pretend(memory_forward=30.0)
    (one,) = ask(*WORDS, runs=runs)
    short, long = one.points
    assert short.forward_bytes == 1000
    assert short.missing["forward_ms"].reason == "a call took 30 s (limit=20)"
    assert long.missing["forward_bytes"].reason == "not tried: at 16, a call took 30 s (limit=20)"
    assert one.kernel == "made-up"


def test_out_of_memory_forward_is_so_in_training_and_the_closed_forms_stay(
    runs: Path, pretend: Pretend
) -> None:
    pretend(memory_forward=["oom", "no room"])
    (one,) = ask(*WORDS, runs=runs)
    for point in one.points:
        lost = {name for name, miss in point.missing.items() if miss.kind == "oom"}
        assert lost == {"forward_ms", "forward_bytes", "train_ms", "train_bytes", "joules"}
        assert (point.flops, point.moved_bytes, point.state_bytes) == (100, 50, 8)
    assert one.points[1].missing["train_ms"].reason == "not tried: at 16, no room"


def test_a_meter_that_fails_costs_nothing_but_the_joules(runs: Path, pretend: Pretend) -> None:
    pretend(energy=["failed", "OSError: the counter is gone"])
    (one,) = ask(*WORDS, runs=runs)
    for point in one.points:
        assert set(point.missing) == {"joules"}
        assert point.forward_ms is not None


def test_what_cannot_be_built_loses_all_with_one_reason(runs: Path, pretend: Pretend) -> None:
    living = pretend(build=["oom", "no room for the input"])
    (one,) = ask(*WORDS, runs=runs)
    for point in one.points:
        assert {miss.kind for miss in point.missing.values()} == {"oom"}
        empty = {name for name, value in point if value is None} - {"session"}
        assert set(point.missing) == empty
    assert len(living) == 2  # the probe, and one at the first length: the second is not tried


def test_finished_profiles_are_measured_again_by_force_alone(
    runs: Path, pretend: Pretend, capfd: pytest.CaptureFixture[str]
) -> None:
    living = pretend()
    ask(*WORDS, runs=runs)
    before = len(living)
    ask(*WORDS, runs=runs)
    assert len(living) == before
    assert "is finished; force=true measures it again" in capfd.readouterr().err
    ask(*WORDS, "force=true", runs=runs)
    assert len(living) == 2 * before
    assert len(list(record.read_all(runs))) == 1


def test_a_damaged_profile_is_measured_again(
    runs: Path, pretend: Pretend, capfd: pytest.CaptureFixture[str]
) -> None:
    pretend()
    ask(*WORDS, runs=runs)
    (path,) = runs.rglob(record.FILE)
    path.write_text(path.read_text()[:99])
    (one,) = ask(*WORDS, runs=runs)
    assert "it is measured again" in capfd.readouterr().err
    assert record.read(path) == one


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 6), (errno.EROFS, 2)])
def test_a_disk_that_takes_no_more_ends_in_one_line_and_no_worker(
    number: int,
    code: int,
    runs: Path,
    pretend: Pretend,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    living = pretend()

    def full(path: Path, content: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(record, "atomic_write", full)
    assert invoke(["profile", *WORDS]) == code
    said = capfd.readouterr().err
    assert f"cannot be written: {os.strerror(number)}" in said
    assert "Traceback" not in said
    assert not any(one.alive for one in living)


def test_a_report_that_cannot_be_written_keeps_the_profiles(
    runs: Path, tmp_path: Path, pretend: Pretend, capfd: pytest.CaptureFixture[str]
) -> None:
    pretend()
    nowhere = tmp_path / "no" / "such.json"
    assert invoke(["profile", *WORDS, "--json", str(nowhere)]) == 2
    assert f"{nowhere} cannot be written: No such file" in capfd.readouterr().err
    assert len(list(record.read_all(runs))) == 1


def test_as_many_workers_wait_as_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 8 * 2**30)
    assert session.seats(session.IDLE) == 8
    assert session.seats(20 * 2**30) == 1
    monkeypatch.setattr(memory, "available", lambda: None)
    assert session.seats(session.IDLE) == session.UNKNOWN


def test_a_worker_holds_its_input_and_its_cache(runs: Path, pretend: Pretend) -> None:
    pretend()
    (one,) = ask("mixer=lru", "length=16", "dim=64", "batch=2", "rounds=3", runs=runs)
    grown = session.held(one, 2**20) - session.held(one, 2**19)
    assert grown == 3 * 4 * 2 * 2**19 * 64


def test_an_answer_that_does_not_come_is_stopped(pretend: Pretend) -> None:
    pretend(count="hang")
    one = Process()
    with pytest.raises(Missed) as lost:
        one.ask({"do": "count"}, 0.1)
    assert lost.value.miss.kind == "slow"
    assert not one.alive


@pytest.mark.parametrize(
    ("named", "spins"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
    ],
)
def test_threads_of_a_worker_spin_shortly_unless_the_user_says_how(
    named: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    tell = "import json, os; print(json.dumps({'spins': os.environ.get('GOMP_SPINCOUNT')}))"
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", tell))
    one = Process()
    try:
        assert one.answer(30) == {"spins": spins}
    finally:
        one.kill()
