"""The contract of a source: one data set, where it is kept, and how it comes there."""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import DataError, DiskFull


def data_folder() -> Path:
    """$ZOO_DATA, or the user's cache; it need not be there yet."""
    named = os.environ.get("ZOO_DATA")
    if named:
        try:
            return Path(named).expanduser()
        except RuntimeError as error:
            raise DataError(f"ZOO_DATA={named}: {error}; name a folder") from error
    from platformdirs import user_cache_path

    return user_cache_path("mixer-zoo") / "data"


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """One data set that ``zoo data fetch`` brings; an instance stands on the shelf.

    A module that offers one imports no torch: ``zoo data list`` asks every source.
    """

    name: str
    """As on the shelf; also the name of its folder."""
    title: str
    """What it is, in a line."""
    licence: str
    cite: str
    """Author, year and where it was published."""
    origin: str
    """Where it comes from, in words: `ai.stanford.edu`, `generated`."""
    size: int | None
    """Bytes over the network: 0 when it is generated, None when nobody knows."""
    disk: int | None
    """Bytes it takes when it is here; None when nobody knows."""
    groups: tuple[str, ...] = ()
    """`zoo data fetch lra` fetches every source of the group `lra`."""
    instead: tuple[str, ...] = ()
    """Sources to fetch when this one cannot be had; other data, hence another task id."""

    @abstractmethod
    def here(self) -> bool:
        """Whether all of it is in the folder. Cheap: sizes, no checksums."""

    @abstractmethod
    def fetch(self, *, force: bool = False) -> None:
        """Bring it here unless it is here; ``force`` brings it again.

        Raises DataError for what cannot be had and DiskFull for what does not fit. What was
        interrupted goes on where it stopped, and two processes share the work or wait.
        """

    @abstractmethod
    def verify(self) -> list[str]:
        """Compare every checksum; one complaint for each file that is damaged, or is missing where
        a set comes whole or not at all.
        """

    def folder(self) -> Path:
        """Where it is kept."""
        return data_folder() / self.name

    def missing(self, root: str = "", task: str = "") -> str | None:
        """What stands in the way of reading it and what to type; None when nothing does.

        ``root`` is a folder of the user's own copy, which then is all that counts; ``task`` is
        who asks, for the message.
        """
        asks = f"{task} needs {self.name}, which" if task else self.name
        if root:
            given = Path(root).expanduser()
            found = "is no folder" if given.exists() else "does not exist"
            return None if given.is_dir() else f"{asks} was said to be in {given}: that {found}"
        if self.here():
            return None
        state = "is not whole" if self.folder().exists() else "is not here"
        return (
            f"{asks} {state}: type `zoo data fetch {self.name}` ({self.effort}), or name your own "
            "copy with task.root=FOLDER"
        )

    def require(self, root: str = "", task: str = "") -> Path:
        """The folder to read from: the user's ``root`` first. Raises DataError if it is missing."""
        reason = self.missing(root, task)
        if reason:
            raise DataError(reason)
        return Path(root).expanduser() if root else self.folder()

    @property
    def effort(self) -> str:
        """`84 MB from ai.stanford.edu`."""
        if self.size == 0:
            return f"generated, {sized(self.disk)} on disk"
        return f"{sized(self.size)} from {self.origin}"


def sized(count: int | None) -> str:
    """Bytes as a person reads them: `84 MB`."""
    if count is None:
        return "of unknown size"
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


@contextmanager
def storing(place: Path) -> Iterator[None]:
    """Context for writing data: an OSError becomes DiskFull or DataError that names the mend."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"{place}: the disk is full; free some space or point ZOO_DATA to another disk"
            ) from error
        raise DataError(
            f"{error.filename or place}: {error.strerror or error}; point ZOO_DATA to a folder "
            "that you can write to"
        ) from error
