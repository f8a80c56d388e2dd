"""Which copy of a data set is read: the user's own, the fetched one, or an installed package."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import zoo


def nowhere() -> Path | None:
    """Of data that no package installs."""
    return None


class Copies(NamedTuple):
    """All the places where one data set may lie."""

    source: zoo.Source
    wanted: str
    """What is looked for in a user's folder, in words."""
    find: Callable[[Path], Path | None]
    """The file or folder to read, at or below a path; None where there is none."""
    installed: Callable[[], Path | None] = nowhere

    def place(self, root: str) -> Path | None:
        """What to read; ``root``, if given, is all that counts."""
        if root:
            return self.find(Path(root).expanduser())
        if self.source.here():
            return self.find(self.source.folder())
        return self.installed()

    def missing(self, root: str, task: str) -> str | None:
        """What stands in the way and what to type; None when nothing does."""
        if self.place(root):
            return None
        others = [f"task.data={name}" for name in self.source.instead]
        instead = f"; {' or '.join(others)} is a stand-in, and another task" if others else ""
        if not root:
            lacks = self.source.missing("", task) or f"{self.source.folder()} lacks {self.wanted}"
            return lacks + instead
        state = "has nothing of" if Path(root).expanduser().exists() else "does not exist; wanted"
        return (
            f"{task}: task.root={root} {state} {self.source.name}: point it to {self.wanted}, or "
            f"type `zoo data fetch {self.source.name}` and leave task.root out{instead}"
        )

    def require(self, root: str, task: str) -> Path:
        """What to read; raises DataError with what to type when it is missing."""
        place = self.place(root)
        if place is None:
            raise zoo.DataError(self.missing(root, task))
        return place


def first(root: Path, tails: Iterable[str]) -> Path | None:
    """The first of ``root / tail`` that exists."""
    return next((root / tail for tail in tails if (root / tail).exists()), None)
