"""Archives opened with suspicion: only plain files, only inside the folder, only so many bytes."""

import gzip
import lzma
import os
import posixpath
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from zoo.data.checksum import BLOCK
from zoo.data.source import sized
from zoo.errors import DataError

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ZIPS = (".zip", ".whl")
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    UnicodeError,  # zipfile: a name that is no UTF-8, though it says so
    NotImplementedError,  # zipfile: a compression that it does not know
    RuntimeError,  # zipfile: encrypted
)


LONGEST = 250
"""Bytes of a path in an archive: what every file system takes."""


class Member(NamedTuple):
    """One file of an archive."""

    path: str
    open: Callable[[], IO[bytes]]


class Target:
    """A folder that files are unpacked into."""

    def __init__(
        self,
        folder: Path,
        *,
        members: tuple[str, ...] = ("*",),
        flat: bool = False,
        limit: int | None = None,
        advance: Callable[[int], object] = lambda n: None,
    ) -> None:
        self.folder, self.members, self.flat = folder, members, flat
        self.left, self.limit, self.advance = limit, limit, advance

    def put(self, path: str, source: IO[bytes] | gzip.GzipFile) -> None:
        """Write one file; raises DataError if it would stand elsewhere, or is too large."""
        parts = _safe(path)
        place = self.folder.joinpath(*(parts[-1:] if self.flat else parts))
        if place.name.lower().endswith(".gz") and not place.name.lower().endswith(TARS):
            place = place.with_name(place.name[:-3])
            source = gzip.GzipFile(fileobj=source)
        if place.exists() or not _stand(place.parent):
            raise DataError(f"it holds {path} twice")
        with place.open("wb") as file:
            while block := source.read(BLOCK):
                self.count(len(block))
                file.write(block)

    def count(self, size: int) -> None:
        """``size`` more bytes are written."""
        self.advance(size)
        if self.left is not None and self.limit is not None:
            self.left -= size
            if self.left < 0:
                raise DataError(f"it unpacks to more than {sized(self.limit)}, which it should not")


def unpack(archive: Path, target: Target) -> None:
    """Put the wanted members of ``archive`` into ``target``; a file of another kind moves there.

    Permissions, owners and empty folders are not kept; a link to another member becomes a copy.
    Raises DataError for an archive that is damaged, holds nothing that is wanted, or holds paths
    that lead out, devices or links out.
    """
    name = archive.name.lower()
    try:
        if name.endswith((*TARS, *ZIPS, ".deb")) or (name.endswith(".gz") and _hides_tar(archive)):
            found = 0
            with _opened(archive, name) as members:
                for member in members:
                    if any(fnmatchcase(member.path, pattern) for pattern in target.members):
                        with member.open() as source:
                            target.put(member.path, source)
                        found += 1
            if not found:
                raise DataError(f"it holds nothing like {' or '.join(target.members)}")
        elif name.endswith(".gz"):
            with archive.open("rb") as source:
                target.put(archive.name, source)
        else:
            move(archive, target.folder)
    except DataError as error:
        raise DataError(f"{archive.name}: {error}") from error
    except DAMAGE as error:
        told = str(error).partition("\n")[0].rstrip(": ")  # tarfile lists all that it has tried
        raise DataError(f"{archive.name} is damaged: {told}") from error
    except OSError as error:
        if error.errno is not None:  # the disk's; without a number it is bz2's
            raise
        raise DataError(f"{archive.name} is damaged: {error}") from error


def move(file: Path, folder: Path) -> None:
    """Rename into ``folder``."""
    if (folder / file.name).exists():
        raise DataError(f"{file.name} is there twice")
    file.rename(folder / file.name)


def _stand(folder: Path) -> bool:
    """Whether the folder is there now; a file may be in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    return True


def _safe(path: str) -> list[str]:
    """The parts of a path that stays inside; raises DataError for any other."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    windows = os.name == "nt" and ":" in path
    if path.startswith("/") or ".." in parts or "\\" in path or "\0" in path or windows:
        raise DataError(f"the path {path!r} leads out of the folder")
    if not parts or parts[-1].lower() == ".gz" or len(os.fsencode(path)) > LONGEST:
        raise DataError(f"{path[:80]!r} is no path")
    return parts


@contextmanager
def _opened(archive: Path, name: str) -> Iterator[Iterator[Member]]:
    """The members of an archive of any kind."""
    if name.endswith(ZIPS):
        with zipfile.ZipFile(archive) as opened:
            yield _zipped(opened)
    elif name.endswith(".deb"):
        with tempfile.TemporaryFile(dir=archive.parent) as inner:
            _payload(archive, inner)
            with tarfile.open(fileobj=inner) as tar:
                yield _tarred(tar)
                _drain(tar)
    else:
        with tarfile.open(archive) as tar:
            yield _tarred(tar)
            _drain(tar)


def _drain(archive: tarfile.TarFile) -> None:
    """Read on to the end, where the checksum of gz and xz stands; tarfile stops before it."""
    while archive.fileobj and archive.fileobj.read(BLOCK):
        pass


def _hides_tar(archive: Path) -> bool:
    """Whether a .gz holds a tar: the arena's own release is called so."""
    with gzip.open(archive) as inner:
        return inner.read(512)[257:262] == b"ustar"


def _zipped(archive: zipfile.ZipFile) -> Iterator[Member]:
    def content(info: zipfile.ZipInfo) -> IO[bytes]:
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise DataError(f"{info.filename!r} is no plain file")
        return archive.open(info)

    for info in archive.infolist():
        if not info.is_dir():
            yield Member(info.filename, partial(content, info))


def _tarred(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if not info.isdir():
            yield Member(info.name.removeprefix("./"), partial(_tar_content, archive, info))


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    """What a plain file, or the one inside the archive that it links to, holds."""
    if info.issym() or info.islnk():
        base = posixpath.dirname(info.name) if info.issym() else ""
        target = posixpath.normpath(posixpath.join(base, info.linkname))
        if target.startswith("/") or target.split("/")[0] == "..":
            raise DataError(f"{info.name!r} is a link to {info.linkname!r}, out of the folder")
    elif not info.isreg():
        raise DataError(f"{info.name!r} is no plain file")
    try:
        content = archive.extractfile(info)
    except KeyError as error:
        raise DataError(f"{info.name!r} links to nothing: {info.linkname!r}") from error
    if content is None:
        raise DataError(f"{info.name!r} links to a folder")
    return content


def _payload(deb: Path, into: IO[bytes]) -> None:
    """Copy the data.tar of a Debian package, an `ar` archive, into an open file."""
    with deb.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise DataError("it is no Debian package")
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
                raise DataError("it is damaged: no member begins where one should")
            name, size = header[:16].decode("ascii", "replace").strip(" /"), int(header[48:58])
            if name == "data.tar.zst":  # as Ubuntu packs; only its own tool reads that everywhere
                return _payload_by_dpkg(deb, into)
            if name.startswith("data.tar"):
                while size and (block := file.read(min(size, BLOCK))):
                    into.write(block)
                    size -= len(block)
                if size:
                    raise DataError("it is damaged: it ends too early")
                into.seek(0)
                return None
            file.seek(size + size % 2, os.SEEK_CUR)
    raise DataError("it is a Debian package without data")


def _payload_by_dpkg(deb: Path, into: IO[bytes]) -> None:
    """The same, uncompressed by `dpkg-deb`, which is wherever apt is."""
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise DataError("its data is packed by zstd, for which there is no dpkg-deb here")
    done = subprocess.run([tool, "--fsys-tarfile", str(deb)], stdout=into, stderr=subprocess.PIPE)
    if done.returncode:
        raise DataError(f"dpkg-deb cannot open it: {done.stderr.decode(errors='replace').strip()}")
    into.seek(0)
