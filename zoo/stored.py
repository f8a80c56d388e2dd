"""A source that is brought whole: into a place beside its folder first, then renamed."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.source import Source


@dataclass(frozen=True, kw_only=True)
class Stored(Source):
    """A source whose folder is filled by ``bring``; size and checksum of each file are kept.

    Subclass it to generate a data set, or take Download for one that is on the network.
    """

    @abstractmethod
    def bring(self, folder: Path) -> Sequence[str]:
        """Fill ``folder``, which is empty or holds what an interrupted call left.

        Returns where it came from (URLs), for the manifest. Raises DataError, DiskFull, OSError.
        """

    def here(self) -> bool:
        raise NotImplementedError

    def fetch(self, *, force: bool = False) -> None:
        raise NotImplementedError

    def verify(self) -> list[str]:
        raise NotImplementedError
