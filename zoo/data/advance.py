"""How far a download or a generator has come: a live bar in a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

EVERY = 10.0
"""Seconds between two plain lines."""
SHORT = 1.0
"""Seconds below which nothing is said at the end."""
Unit = Literal["items", "bytes"]


class Advance(Protocol):
    """Says that ``n`` more are done; any thread may."""

    def __call__(self, n: int = 1) -> None: ...


@contextmanager
def advancing(
    title: str, total: int | None, *, start: int = 0, unit: Unit = "items"
) -> Iterator[Advance]:
    """Context that yields ``advance(n=1)`` and shows on stderr how much of ``total`` is done.

    ``start`` is what was done before; a total of None is not known.
    """
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False)
    if console.is_terminal:
        from rich import progress

        done = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=24),
            done,
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=total, completed=start)
            yield lambda n=1: bar.advance(task, n)
    else:
        lines = _Lines(title, total, start, unit)
        yield lines.advance
        lines.end()


class _Lines:
    """A plain line now and then, and one at the end."""

    def __init__(self, title: str, total: int | None, start: int, unit: Unit) -> None:
        self.title, self.total, self.done, self.unit = title, total, start, unit
        self.since = self.said = time.monotonic()
        self.told: int | None = None
        self.lock = threading.Lock()

    def advance(self, n: int = 1) -> None:
        """``n`` more are done."""
        with self.lock:
            self.done += n
            now = time.monotonic()
            if now - self.said < EVERY:
                return
            self.said = now
        self.say()

    def end(self) -> None:
        """All is done; what took no time, or was said just now, needs no line."""
        if self.done != self.told and time.monotonic() - self.since >= SHORT:
            self.say()

    def say(self) -> None:
        """Print how far it is."""
        self.told = self.done
        done, total = (
            "?"
            if count is None
            else f"{count / 1e6:,.1f}"
            if self.unit == "bytes"
            else f"{count:,}"
            for count in (self.done, self.total)
        )
        of = "" if self.total is None else f" of {total}"
        noun = " MB" if self.unit == "bytes" else ""
        clock = f"{time.monotonic() - self.since:.0f} s"
        note(f"{self.title}: {done}{of}{noun}, {clock}")


def note(text: str) -> None:
    """A line that stays, on stderr, so that results can be piped."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
