"""A source that is brought whole: into a place beside its folder first, then renamed."""

import shutil
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data import manifest
from zoo.data.alone import alone
from zoo.data.source import Source, data_folder, sized, storing
from zoo.errors import DataError, DiskFull

WORKPLACE = "downloads"
"""Folder beside the sources' own where they are being brought; no source may have its name."""


@dataclass(frozen=True, kw_only=True)
class Stored(Source):
    """A source whose folder is filled by ``bring``; size and checksum of each file are kept.

    Subclass it to generate a data set, or take Download for one that is on the network.
    """

    @abstractmethod
    def bring(self, folder: Path) -> Sequence[str]:
        """Fill ``folder``, which is new or holds what an interrupted call left there.

        ``folder.parent`` is the source's own too, and removed when all is done. Returns where the
        data came from (URLs), for the manifest. Raises DataError, DiskFull or OSError.
        """

    @property
    def room(self) -> int:
        """Bytes that must be free on the disk while it is brought, as far as that is known."""
        return (self.size or 0) + (self.disk or 0)

    def here(self) -> bool:
        return manifest.intact(self.folder())

    def verify(self) -> list[str]:
        return manifest.damages(self.folder(), self.name)

    def fetch(self, *, force: bool = False) -> None:
        if self.here() and not force:
            return
        place = data_folder() / WORKPLACE
        with storing(data_folder()), alone(place / f"{self.name}.lock", self.name):
            if self.here() and not force:  # another process has brought it meanwhile
                return
            self._refuse_what_is_not_ours()
            work = place / self.name
            fresh = work / "fresh"
            fresh.mkdir(parents=True, exist_ok=True)
            self._refuse_a_full_disk(work)
            origins = self.bring(fresh)
            manifest.write(fresh, self.name, origins)
            self._put_in_place(fresh, work / "old")
            shutil.rmtree(work)

    def _refuse_what_is_not_ours(self) -> None:
        """A folder that we have not made may be somebody's only copy."""
        folder = self.folder()
        if folder.is_symlink() or (folder.exists() and not (folder / manifest.NAME).exists()):
            raise DataError(
                f"{folder} was not made by `zoo data fetch`; move it away, or name it with "
                "task.root=FOLDER"
            )

    def _refuse_a_full_disk(self, work: Path) -> None:
        """Raises DiskFull before anything is brought rather than in the middle."""
        brought = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
        free = shutil.disk_usage(work).free
        if free < self.room - brought:
            raise DiskFull(
                f"{self.name} needs {sized(self.room)} in {data_folder()}, where {sized(free)} are "
                "free; free some space or point ZOO_DATA to another disk"
            )

    def _put_in_place(self, fresh: Path, old: Path) -> None:
        """Rename, so that there is no moment at which a part of it is there."""
        if old.exists():
            shutil.rmtree(old)
        if self.folder().exists():
            self.folder().rename(old)
        fresh.rename(self.folder())
