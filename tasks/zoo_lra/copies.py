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
    instead: tuple[str, ...] = ("generated",)
    """Values of ``task.data`` that stand in for it, or none; for the release, what is generated."""

    def place(self, root: str) -> Path | None:
        """What to read; ``root``, if given, is all that counts."""
        if root:
            return self.find(Path(root).expanduser())
        if self.source.here():
            return self.find(self.source.folder())
        return self.installed()

    def missing(self, root: str, task: str) -> str | None:
        """What stands in the way and what to type; None when nothing does."""
        try:
            if self.place(root):
                return None
            return self._absence(root, task)
        except (OSError, RuntimeError) as error:  # closed to us, too long, or no such user's home
            place = f"task.root={root}" if root else str(self.source.folder())
            mend = "name another folder" if root else "point ZOO_DATA to a folder of yours"
            reason = getattr(error, "strerror", None) or error
            return f"{task}: {place} cannot be read: {reason}; {mend}"

    def _absence(self, root: str, task: str) -> str:
        """The words for a place that can be looked at and has nothing."""
        others = [f"task.data={name}" for name in self.instead]
        instead = f"; {' or '.join(others)} is other data, and another task" if others else ""
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
        if reason := self.missing(root, task):
            raise zoo.DataError(reason)
        place = self.place(root)
        assert place is not None
        return place


def first(root: Path, tails: Iterable[str]) -> Path | None:
    """The first of ``root / tail`` that is a file."""
    return next((root / tail for tail in tails if (root / tail).is_file()), None)
