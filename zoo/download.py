"""A source on the network: files, each with mirrors and a checksum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from zoo.stored import Stored


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

    def bring(self, folder: Path) -> Sequence[str]:
        raise NotImplementedError
