"""A signal asks a run to stop at the next safe place; a second one does not ask."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from zoo.errors import Killed

STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)


class Stop:
    """Context in which a stopping signal sets a flag instead of killing the process.

    One that was ignored (as under nohup) stays ignored; one that was blocked is let in.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        self.arm()
        return self

    def arm(self) -> None:
        """Take the signals; again after Lightning has put its own handlers over ours."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python delivers signals to the main thread alone
        for signum in STOPPING:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before = signal.signal(signum, self._handle)
                self._before.setdefault(signum, before)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:  # not KeyboardInterrupt, which Lightning turns into exit 1
            raise Killed(signum)
        self.signum = signum

    def check(self, step: int) -> None:
        """Raises Killed if a signal has come; call where it is safe to stop."""
        if self.signum is not None:
            raise Killed(self.signum, step)
