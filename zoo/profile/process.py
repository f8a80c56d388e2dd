"""The parent's end of a worker: ask it, wait so long, and tell how it died."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from zoo.profile.record import Miss

COMMAND = (sys.executable, "-m", "zoo.profile.worker")
SPIN = {"GOMP_SPINCOUNT": "10000"}
"""Rounds that a thread of libgomp spins for another before it sleeps: beyond the gap between two
operators. With the usual 300,000 a main thread, back from others' turns, may spin on the very core
on which the thread it has woken is to run, until the system's next tick parts them: 4 ms, seen as
0.5 ms more in some figures of a token.
"""


class Missed(Exception):
    """A request got no figure; ``miss`` says why."""

    def __init__(self, miss: Miss) -> None:
        super().__init__(miss.reason)
        self.miss = miss


class Process:
    """A worker in a session of its own, so that Ctrl-C reaches the parent alone."""

    def __init__(self) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the worker
        self.child = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
            env=os.environ if "OMP_WAIT_POLICY" in os.environ else SPIN | os.environ,
        )
        self.partial = b""

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self.child.poll() is None

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask without waiting; a dead worker is noticed by ``answer``."""
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):
            self.child.stdin.write(json.dumps(request).encode() + b"\n")
            self.child.stdin.flush()

    def answer(self, seconds: float) -> dict[str, Any]:
        """The answer to what was sent; raises Missed, also where it dies or takes too long."""
        assert self.child.stdout is not None
        end = time.monotonic() + seconds
        while b"\n" not in self.partial:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                self.kill()
                reason = f"it had not ended after {seconds:.0f} s and was stopped"
                raise Missed(Miss(kind="slow", reason=reason))
            read = os.read(self.child.stdout.fileno(), 1 << 16)
            if not read:
                raise Missed(self._death())
            self.partial += read
        line, _, self.partial = self.partial.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        if "miss" in found:
            raise Missed(Miss.model_validate(found["miss"]))
        return found

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send and wait."""
        self.send(request)
        return self.answer(seconds)

    def _death(self) -> Miss:
        """How it died; the kernel ends with SIGKILL what it has no memory for."""
        code = self.child.wait()
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").strip()
        last = said.splitlines()[-1][:200] if said else "it said nothing"
        if code == -signal.SIGKILL:
            reason = "its process was killed (SIGKILL), as the system does when memory runs out"
            return Miss(kind="oom", reason=reason)
        if "alloc" in last:
            return Miss(kind="oom", reason=f"its process died of {last}")
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return Miss(kind="failed", reason=f"its process ended {how}: {last}")

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.errors):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
