"""What an exception makes of a run: its status, and the exit code the shell gets."""

import errno
import signal

import torch

from zoo.errors import DiskFull, Diverged, Killed, ZooError
from zoo.record import Status

OUT_OF_MEMORY = 5


def verdict(error: BaseException, signum: int | None) -> tuple[Status, int]:
    """The status and exit code that an exception stands for, a signal having come or not."""
    if isinstance(error, Killed):
        return "killed", error.exit_code
    if signum is not None or isinstance(error, KeyboardInterrupt):
        return "killed", 128 + (signum or signal.SIGINT)  # whatever the signal broke on its way
    if isinstance(error, Diverged):
        return "diverged", error.exit_code
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate" in str(error):
        return "oom", OUT_OF_MEMORY
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or (isinstance(error, RuntimeError) and "inline_container" in str(error)):
        return "failed", DiskFull.exit_code
    if isinstance(error, ZooError):
        return "failed", error.exit_code
    return "failed", 1
