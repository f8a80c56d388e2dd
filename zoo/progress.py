"""Progress of a run: a live line in a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """What a person sees while a run goes on; writes to stderr, so that results can be piped."""

    def __init__(self, title: str, steps: int) -> None:
        self.title, self.steps = title, steps
        self.console = Console(file=sys.stderr, highlight=False)
        self._bar: Bar | None = None
        self._loss: float | None = None
        self._since = time.monotonic()

    def start(self, step: int = 0) -> None:
        """Training begins, or goes on from ``step``."""
        self._since = time.monotonic()
        if self.console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bar.add_task(self.title, total=self.steps, completed=step, note="")
            self._bar.start()
        else:
            again = f", on from step {step}" if step else ""
            self.say(f"{self.steps} steps{again}")

    def step(self, step: int, loss: float) -> None:
        """One more step is done."""
        self._loss = loss
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=step, note=f"loss {loss:.3f}")

    def validated(self, step: int, metric: str, value: float, *, best: bool) -> None:
        """The validation split was scored."""
        loss = "" if self._loss is None else f"loss {self._loss:.3f}, "
        mark = " (best so far)" if best else ""
        clock = f"{time.monotonic() - self._since:.0f} s"
        self.say(f"step {step}/{self.steps}: {loss}valid {metric} {value:.4f}{mark}, {clock}")

    def say(self, text: str) -> None:
        """A line that stays."""
        console = self._bar.console if self._bar else self.console
        console.print(f"{self.title}: {text}", markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the live line away."""
        if self._bar:
            self._bar.stop()
            self._bar = None
