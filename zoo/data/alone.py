"""One process at a time: the others wait, and say for whom."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.data.advance import note


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Context that holds ``lock``; a process that must wait for it says who has it."""
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = lock.with_name(f"{lock.name}.owner")
    guard = FileLock(lock)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        note(f"{what}: {_who(owner)} is at it; waiting")
        guard.acquire()
    try:
        owner.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        guard.release()


def _who(owner: Path) -> str:
    """As the process that holds the lock has written, if it has by now."""
    try:
        return owner.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
