"""How compiled kernels are found, spread over threads, and survive a fork."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import current_thread, main_thread
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from zoo.ops import fused


@fused.jit
def double(x, y, first, last):  # type: ignore[no-untyped-def]
    for i in range(first, last):
        y[i] = 2 * x[i]


@pytest.fixture(params=["team", "pool"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three threads: of torch's OpenMP, and of our own."""
    if request.param == "pool":
        monkeypatch.setattr(fused, "torchs_team", lambda process: None)
    monkeypatch.setattr(fused, "LITTLE", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("tasks", [1, 2, 3, 11, 100])
def test_every_task_is_done_once(tasks: int) -> None:
    done: list[int] = []
    fused.share(lambda first, last: done.extend(range(first, last)), tasks)
    assert sorted(done) == list(range(tasks))


def test_little_work_stays_on_its_thread() -> None:
    before, names = torch.get_num_threads(), set()

    def work(x: object, first: int, last: int) -> None:
        names.add(current_thread().name)
        sleep(0.01)

    torch.set_num_threads(2)
    try:
        fused.share(work, 8, np.zeros(fused.LITTLE - 1))
        assert names == {current_thread().name}
        fused.share(work, 8, np.zeros(fused.LITTLE))
        assert len(names) == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_torchs_number_of_threads_is_the_most() -> None:
    names: set[str] = set()
    fused.share(lambda *_: names.add(current_thread().name), 100)
    assert 1 <= len(names) <= 3
    torch.set_num_threads(1)
    names.clear()
    fused.share(lambda *_: names.add(current_thread().name), 100)
    assert names == {current_thread().name}


@pytest.mark.usefixtures("threads")
def test_an_error_in_any_thread_is_raised() -> None:
    def work(first: int, last: int) -> None:
        if first <= 7 < last:
            raise ValueError("task 7")

    with pytest.raises(ValueError, match="task 7"):
        fused.share(work, 20)


def run() -> list[float]:
    x = torch.arange(50.0)
    y = torch.empty(50)
    fused.share(double, 50, *fused.arrays(x, y))
    return list(y.tolist())


def child(queue: object) -> None:
    queue.put(run())  # type: ignore[attr-defined]


def test_torchs_own_threads_do_the_work() -> None:
    team = fused.torchs_team(os.getpid())
    assert team is not None, "torch's wheels for Linux bring GNU's OpenMP"
    before, names = torch.get_num_threads(), set()
    torch.set_num_threads(2)

    def work(first: int, last: int) -> None:
        names.add(current_thread().name)
        sleep(0.01)  # so that one thread cannot take all

    try:
        for _ in range(3):
            names.clear()
            fused.share(work, 8)
            assert len(names) == 2
            assert not any(name.startswith("zoo-kernel") for name in names)
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_an_interrupt_reaches_the_caller() -> None:
    def work(first: int, last: int) -> None:
        if current_thread() is main_thread():
            raise KeyboardInterrupt
        sleep(0.001)

    with pytest.raises(KeyboardInterrupt):
        fused.share(work, 20)
    assert run() == [2.0 * i for i in range(50)], "and the threads work on"


@pytest.mark.usefixtures("threads")
def test_no_interrupt_is_lost_whenever_it_comes() -> None:
    """A callback from C that is interrupted on its first line cannot raise."""
    sent = caught = 0
    for _ in range(50):
        first_to_come = iter([True])

        def work(first: int, last: int) -> None:
            nonlocal sent
            if current_thread() is not main_thread() and next(first_to_come, False):  # noqa: B023
                sent += 1
                os.kill(os.getpid(), signal.SIGINT)
            sleep(0.001)

        try:
            fused.share(work, 6)
        except KeyboardInterrupt:
            caught += 1
    assert caught == sent > 0


@pytest.mark.usefixtures("threads")
def test_many_callers_at_once_each_get_their_own() -> None:
    """As a server decodes several requests, or autograd calls from threads of its own."""

    def caller(number: int) -> bool:
        x, y = torch.arange(50.0) + number, torch.empty(50)
        for _ in range(20):
            fused.share(double, 50, *fused.arrays(x, y))
            if not torch.equal(y, 2 * x):
                return False
            y.zero_()
        return True

    with ThreadPoolExecutor(4) as callers:
        assert all(callers.map(caller, range(8)))


@pytest.mark.parametrize("first", [run, lambda: torch.ones(300_000).exp_()], ids=["ours", "torch"])
def test_a_forked_child_has_threads_of_its_own(first: Callable[[], object]) -> None:
    """Also where torch alone had started its own in the parent."""
    torch.set_num_threads(3)
    first()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    try:
        assert queue.get(timeout=60) == [2.0 * i for i in range(50)]
    finally:
        process.kill()
        process.join()
        torch.set_num_threads(1)


def test_arrays_share_memory_where_they_can() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    same, turned = fused.arrays(x, x.t())
    assert np.shares_memory(same, x.detach().numpy())
    assert turned.flags.c_contiguous
    assert np.array_equal(turned, x.detach().numpy().T)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = fused.missing.__wrapped__
    assert probe() is None
    monkeypatch.setitem(sys.modules, "numba", None)
    assert "pip install 'mixer-zoo[cpu]'" in str(probe())


def test_what_it_cannot_take_is_refused() -> None:
    assert "not meta" in str(fused.refuses(torch.empty(1, device="meta")))
    assert "torch.int64" in str(fused.refuses(torch.zeros(1, dtype=torch.long)))
    assert fused.refuses(torch.zeros(1, dtype=torch.bfloat16)) is None
    with forward_ad.dual_level():
        assert "forward-mode" in str(fused.refuses(torch.zeros(1)))


def test_without_jit_kernels_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would run them, but not what they take from vector units."""
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", 1)
    assert "unset NUMBA_DISABLE_JIT" in str(fused.missing.__wrapped__())


@pytest.mark.parametrize("before", [0, 1])
def test_where_no_thread_can_be_started_the_caller_does_all(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for those that could be."""

    class Full(ThreadPoolExecutor):
        left = before

        def submit(self, *arguments: Any, **more: Any) -> Any:
            if self.left == 0:
                raise RuntimeError("can't start new thread")
            self.left -= 1
            return super().submit(*arguments, **more)

    full = Full(1)
    monkeypatch.setattr(fused, "torchs_team", lambda process: None)
    monkeypatch.setattr(fused, "pool", lambda process: full)
    done: list[int] = []

    def work(first: int, last: int) -> None:
        if current_thread() is not main_thread():
            sleep(0.02)
        done.extend(range(first, last))

    torch.set_num_threads(3)
    try:
        fused.share(work, 20)
    finally:
        torch.set_num_threads(1)
    assert sorted(done) == list(range(20))
