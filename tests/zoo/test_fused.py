"""How compiled kernels are found, spread over threads, and survive a fork."""

import multiprocessing
import sys
from pathlib import Path
from threading import current_thread

import numpy as np
import pytest
import torch

from zoo.ops import fused


@fused.jit
def double(x, y, first, last):  # type: ignore[no-untyped-def]
    for i in range(first, last):
        y[i] = 2 * x[i]


@pytest.fixture
def threads() -> object:
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


@pytest.mark.usefixtures("threads")
def test_a_forked_child_has_threads_of_its_own() -> None:
    right = [2.0 * i for i in range(50)]
    assert run() == right
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == right
    process.join()


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


def test_where_nothing_can_be_written_it_still_compiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    numba = pytest.importorskip("numba")
    real = numba.njit

    def refuse(*args: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    y = np.zeros(3)
    fused.jit(double.py_func)(np.ones(3), y, 0, 3)  # type: ignore[attr-defined]
    assert y.tolist() == [2, 2, 2]
