"""Numba's cache of compiled kernels, made safe: what befalls its files costs a compilation only.

Numba itself raises where a file was cut short or the disk is full. It also numbers its files, so
that one of two processes that compile at once for different types, or machines that share a disk
and have different CPUs, may find the other's machine code under its own name. Only ``fused.jit``
imports this: it needs numba.
"""

# numba has no types
# mypy: disable-error-code="no-untyped-call"

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

SHARED = Path(__file__).with_name("vector_math.py")
"""What kernels call in another file; numba looks at a kernel's own for changes."""


class KernelFiles(IndexDataCacheFile):
    """Code is named by what it was compiled for, and written before the index says it is there."""

    def save(self, key: Any, data: Any) -> None:
        number = int(hashlib.sha256(repr(key).encode()).hexdigest()[:12], 16)
        name = self._data_name(number)
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


class KernelCache(FunctionCache):
    """What ``njit(cache=True)`` makes, less its exceptions.

    Raises RuntimeError where no folder can be written.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        shared = SHARED.stat()
        stamp = self._impl.locator.get_source_stamp(), shared.st_mtime, shared.st_size
        self._cache_file = KernelFiles(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, signature: Any, context: Any) -> Any:
        try:
            return super().load_overload(signature, context)
        except Exception:  # unpickling what is damaged raises nearly anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        with suppress(Exception):  # a full disk, say: the kernel is compiled and runs all the same
            super().save_overload(signature, compiled)
