"""Kernels that Numba compiles on the user's own CPU: what they share, and why they may be missing.

A kernel is a plain function of NumPy arrays whose last two arguments are the range of tasks to do,
compiled by ``jit`` and handed to ``share``, which spreads the tasks over torch's threads:

    @fused.jit
    def forward(x, y, first, last):
        for row in range(first, last): ...

    fused.share(forward, len(x), *fused.arrays(x, y))

Not over Numba's own: its pools crash after a fork or when two threads enter them, fight torch's for
the cores, and cost twice the compile time. A module with kernels imports numba at its top, so
nobody imports that module before ``missing()`` has said None.
"""

import ctypes
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from inspect import unwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be reordered for vector units; NaN and infinity keep their meaning."""
LITTLE = 2**15
"""Numbers in all arguments below which one thread is done before another has woken."""
PIECES = 4  # a thread's share is cut in four: the one that has the quieter core takes more


@lru_cache(maxsize=1)
def missing() -> str | None:
    """Why compiled CPU kernels are not here, and what to install."""
    try:
        numba = import_module("numba")
    except Exception as error:  # numba refuses a NumPy that is too new with more than ImportError
        why = str(error).partition("\n")[0] or type(error).__name__
        return f"numba does not import ({why}); pip install 'mixer-zoo[cpu]'"
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, and kernels only run compiled; unset NUMBA_DISABLE_JIT"
    return None


def refuses(x: Tensor) -> str | None:
    """Why a compiled CPU kernel cannot take this input."""
    if x.device.type != "cpu":
        return f"numba needs a CPU tensor, not {x.device.type}"
    if not (x.is_floating_point() or x.is_complex()):
        return f"numba takes floating point numbers, not {x.dtype}"
    return no_tangents(x)


def no_tangents(x: Tensor) -> str | None:
    """Why a kernel with a backward pass of its own cannot run now: operators drop tangents."""
    if forward_ad._current_level >= 0:
        return "it has no forward-mode derivatives, and a dual level is open"
    return None


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at its first call and kept on disk beside the source, or in the user's cache.

    Where neither can be written it is compiled in every process anew. The file of ``function`` and
    vector_math.py are watched for changes, what it calls elsewhere is not: keep that in one file.
    """
    numba, function = import_module("numba"), unwrap(function)  # a checker's shell, in tests
    options = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    compiled: Callable[..., Any] = numba.njit(**options)(function)
    with suppress(Exception):  # no folder to write to, or a numba whose cache is another
        cache = import_module("zoo.ops.kernel_cache").KernelCache(function)
        setattr(compiled, "_cache", cache)  # noqa: B010 # as numba's own enable_caching
    return compiled


def arrays(*tensors: Tensor) -> Iterable[np.ndarray[Any, Any]]:
    """The same memory as NumPy sees it; contiguous, copied only where it was not."""
    return (tensor.detach().contiguous().numpy() for tensor in tensors)


def share(kernel: Callable[..., Any], tasks: int, *arguments: Any) -> None:
    """``kernel(*arguments, first, last)`` over all tasks, on as many threads as torch may use."""
    threads = min(torch.get_num_threads(), tasks)
    sizes = [each.size for each in arguments if isinstance(each, np.ndarray)]
    if threads <= 1 or (sizes and sum(sizes) < LITTLE):
        kernel(*arguments, 0, tasks)
        return
    pieces = min(tasks, PIECES * threads)
    cuts = [tasks * piece // pieces for piece in range(pieces + 1)]
    todo = iter(list(pairwise(cuts)))  # next() on it is atomic
    failures: list[BaseException] = []

    def work(_: object = None) -> None:
        try:
            for first, last in todo:
                kernel(*arguments, first, last)
        except BaseException as failure:  # an interrupt too: nothing passes through the team
            failures.append(failure)

    team = torchs_team(os.getpid())
    if team is not None:
        start, end, others = team.GOMP_parallel_start, team.GOMP_parallel_end, WORK(work)
        try:  # not GOMP_parallel: an interrupt of a callback's first line would be lost in it
            start(others, None, threads)
            work()
        finally:
            end()
    else:
        helpers = []
        with suppress(RuntimeError):  # where no thread can be started the caller does all
            for _ in range(threads - 1):
                helpers.append(pool(os.getpid()).submit(work))
        work()
        wait(helpers)
    if failures:
        raise failures[0]


WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@lru_cache(maxsize=1)
def torchs_team(process: int) -> Any:
    """The OpenMP library that torch itself runs on, where that is GNU's; None elsewhere.

    After each of torch's own parallel loops its threads keep their cores busy for milliseconds, in
    wait of the next. Threads of ours would fight them for the cores; torch's do not. None in a
    forked child too: if its parent had a team, GNU's OpenMP would wait for it for ever.
    """
    if process != BORN:
        return None
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
        loaded = {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}
        mine = sorted(loaded, key=lambda path: "torch" not in path)[:1]
        return ctypes.CDLL(mine[0]) if mine else None
    except OSError:  # no such file, or a library that was replaced while in use
        return None


BORN = os.getpid()
"""The process that imported this; a fork has another number."""


@lru_cache(maxsize=1)
def pool(process: int) -> ThreadPoolExecutor:
    """Threads of our own, where torch's cannot be had; a forked child needs others."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "zoo-kernel")
