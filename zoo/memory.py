"""The memory of this process and this machine, as Linux tells it."""

import ctypes
from contextlib import suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's settings, from its malloc.h."""


def forget_peak() -> bool:
    """The peak of resident memory starts anew from what is resident; False where it cannot.

    getrusage's never does.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident() -> int:
    """Bytes of this process that are in memory."""
    return _field("/proc/self/status", "VmRSS")


def peak() -> int:
    """The most bytes of this process that were in memory since ``forget_peak``."""
    return _field("/proc/self/status", "VmHWM")


def private() -> int:
    """Bytes that RLIMIT_DATA counts: heap and private mappings, touched or not."""
    return _field("/proc/self/status", "VmData")


def available() -> int | None:
    """Bytes that the machine can give without swapping, a container's limit heeded; None where
    neither is told.
    """
    free = []
    with suppress(OSError, StopIteration):
        free.append(_field("/proc/meminfo", "MemAvailable"))
    with suppress(OSError, ValueError, StopIteration):  # no such group, or no limit in it
        group = Path("/sys/fs/cgroup")
        most, now = (int((group / f"memory.{f}").read_text()) for f in ("max", "current"))
        cached = (group / "memory.stat").read_text().split("inactive_file ")[1].split()[0]
        free.append(max(0, most - now + int(cached)))
    return min(free, default=None)


def give_back() -> None:
    """Return freed memory to the system, so that using it again shows as growth."""
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def keep() -> None:
    """Freed memory stays with the process, to be used again, until ``give_back``.

    glibc gives blocks of 32 MiB and more back at once, and every call that takes one anew waits for
    the system to hand out and clear its pages: a cost of the allocator, which grows by leaps.
    """
    with suppress(OSError, AttributeError):  # no glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 2**31 - 1)  # the most that it takes: larger blocks still go
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # never


def _field(file: str, name: str) -> int:
    """Bytes, from a table of `Name: 12 kB`."""
    lines = Path(file).read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
