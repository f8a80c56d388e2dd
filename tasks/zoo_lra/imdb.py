"""IMDB reviews as released: aclImdb_v1.tar.gz, or the folder it unpacks to."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import zoo
from zoo_lra.copies import Copies, first
from zoo_lra.packed import Corpus, Example, packed
from zoo_lra.sources import IMDB

REVIEW = re.compile(r"(?:^|/)(train|test)/(neg|pos)/(\d+)_\d+\.txt$")
PARTS = [f"{split}/{feeling}" for split in ("train", "test") for feeling in ("neg", "pos")]
ARCHIVES = ("aclImdb_v1.tar.gz", "aclImdb.tar.gz", "aclImdb_v1.tar", "aclImdb.tar")
COUNTS = {"train": 25_000, "test": 25_000}
Found = dict[tuple[str, int, int], bytes]


def find(root: Path) -> Path | None:
    """The archive itself, or the folder that holds train/ and test/."""
    if root.is_file():
        return root
    folders = [root / tail for tail in ("", "aclImdb", "imdb/aclImdb")]
    folder = next((at for at in folders if all((at / part).is_dir() for part in PARTS)), None)
    return folder or first(root, ARCHIVES)


COPIES = Copies(
    IMDB,
    "aclImdb/ (train/pos/*.txt ...), its parent, or aclImdb_v1.tar.gz",
    find,
    instead=IMDB.instead,
)


def read(place: Path) -> Corpus:
    """Every review, UTF-8 as it is; label 1 is positive.

    Sorted by split, label and number, so that archive and folder are the same to the byte.
    Raises DataError for a damaged or foreign file.
    """
    if place.is_file():
        return packed(place.parent, "imdb", [place], lambda: _examples(place))
    return packed(place, "imdb", [place / part for part in PARTS], lambda: _examples(place))


def _examples(place: Path) -> Iterator[Example]:
    """All of them; they are held in memory, 66 MB, to be sorted."""
    found = _archive(place) if place.is_file() else _folder(place)
    for split in COUNTS:
        for label in (0, 1):
            if not any(key[:2] == (split, label) for key in found):
                wanted = f"{split}/{('neg', 'pos')[label]}/*.txt"
                raise zoo.DataError(f"{place}: no {wanted} in it; wanted {COPIES.wanted}")
    for split, label, number in sorted(found):
        yield Example(split, label, (found[split, label, number],))


def _archive(path: Path) -> Found:
    """Out of the archive, without unpacking it; read to its end, so that its checksum counts."""
    found: Found = {}
    size = path.stat().st_size
    try:
        with (
            zoo.advancing(f"reading {path.name}", size, unit="bytes") as advance,
            path.open("rb") as raw,
            _unzipped(raw) as stream,
            tarfile.open(fileobj=stream, mode="r:") as archive,
        ):
            done = 0
            for member in archive:
                name = REVIEW.search(member.name)
                text = archive.extractfile(member) if name and member.isfile() else None
                if name and text:
                    found[_key(name)] = text.read()
                    advance(raw.tell() - done)
                    done = raw.tell()
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise zoo.DataError(
            f"{path} is no whole tar archive: {error}; wanted {IMDB.files[0].name} of "
            f"{IMDB.size:,} bytes, this has {size:,}"
        ) from error
    return found


def _unzipped(raw: IO[bytes]) -> IO[bytes]:
    """Through gzip if it is; an archive that is not packed is as good."""
    packed_so = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed_so else raw


def _folder(folder: Path) -> Found:
    """Out of 50,000 small files."""
    found: Found = {}
    with zoo.advancing("reading aclImdb", sum(COUNTS.values())) as advance:
        for part in PARTS:
            for path in (folder / part).iterdir():
                if name := REVIEW.search(f"{part}/{path.name}"):
                    found[_key(name)] = path.read_bytes()
                    advance()
    return found


def _key(name: re.Match[str]) -> tuple[str, int, int]:
    """Split, label and number of `train/pos/12_9.txt`."""
    return name[1], int(name[2] == "pos"), int(name[3])
