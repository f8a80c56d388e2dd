"""Kernels that Numba compiles on the user's own CPU: what they share, and why they may be missing.

A kernel is a plain function of NumPy arrays whose last two arguments are the range of tasks to do,
compiled by ``jit`` and handed to ``share``, which spreads the tasks over torch's threads:

    @fused.jit
    def forward(x, y, first, last):
        for row in range(first, last): ...

    fused.share(forward, len(x), *fused.arrays(x, y))

Threads of our own and not Numba's: its thread pools crash after a fork or when two threads enter
them, and cost twice the compile time. A module with kernels imports numba at its top, so nobody
imports that module before ``missing()`` has said None.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module
from inspect import unwrap
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be reordered for vector units; NaN and infinity keep their meaning."""
PIECES = 4  # a thread's share is cut in four: the one that has the quieter core takes more


@lru_cache(maxsize=1)
def missing() -> str | None:
    """Why compiled CPU kernels are not here, and what to install."""
    try:
        import_module("numba")
    except Exception as error:  # numba refuses a NumPy that is too new with more than ImportError
        why = str(error).partition("\n")[0] or type(error).__name__
        return f"numba does not import ({why}); pip install 'mixer-zoo[cpu]'"
    return None


def refuses(x: Tensor) -> str | None:
    """Why a compiled CPU kernel cannot take this input."""
    if x.device.type != "cpu":
        return f"numba needs a CPU tensor, not {x.device.type}"
    if not (x.is_floating_point() or x.is_complex()):
        return f"numba takes floating point numbers, not {x.dtype}"
    return None


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at its first call and kept on disk beside the source, or in the user's cache.

    Where neither can be written it is compiled in every process anew. Numba sees a change of the
    file of ``function`` itself, not of functions it calls elsewhere: keep those in one file.
    """
    numba, function = import_module("numba"), unwrap(function)  # a checker's shell, in tests
    options = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = numba.njit(**options)(function)
    return compiled


def arrays(*tensors: Tensor) -> Iterable[np.ndarray[Any, Any]]:
    """The same memory as NumPy sees it; contiguous, copied only where it was not."""
    return (tensor.detach().contiguous().numpy() for tensor in tensors)


def share(kernel: Callable[..., Any], tasks: int, *arguments: Any) -> None:
    """``kernel(*arguments, first, last)`` over all tasks, on as many threads as torch may use."""
    threads = min(torch.get_num_threads(), tasks)
    if threads <= 1:
        kernel(*arguments, 0, tasks)
        return
    pieces = min(tasks, PIECES * threads)
    cuts = [tasks * piece // pieces for piece in range(pieces + 1)]
    todo = iter(list(pairwise(cuts)))  # next() on it is atomic

    def work() -> None:
        for first, last in todo:
            kernel(*arguments, first, last)

    others = [pool().submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def pool() -> ThreadPoolExecutor:
    """Our helpers; a forked child makes its own, since threads do not survive a fork."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "zoo-kernel")


os.register_at_fork(after_in_child=pool.cache_clear)
