"""The arena's own release as it is: where its files lie, and ListOps' tables.

What people have is the archive `lra_release.gz` (a tar.gz by another name), the folder it unpacks
to, or one folder of that; each is read as it stands.
"""

import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

import zoo
from zoo_lra.copies import Copies, first
from zoo_lra.packed import Corpus, Example, packed

LRA_RELEASE = zoo.Download(
    name="lra-release",
    title="The arena as released: ListOps, Pathfinder of 32 to 256 pixels, the pairs of AAN",
    licence="Apache-2.0 (the texts of AAN are not in it)",
    cite="Tay et al. 2020, arXiv 2011.04006",
    origin="storage.googleapis.com",
    size=7_700_000_000,
    disk=7_700_000_000,
    # the bucket has answered 403; what can be generated is, and is told apart in every record
    instead=("listops", "pathfinder32", "pathfinder128", "aan"),
    files=(
        zoo.File(
            "lra_release.gz",
            ("https://storage.googleapis.com/long-range-arena/lra_release.gz",),
            None,
            None,
        ),
    ),
    unpack=False,  # it holds two million little pictures
)
ARCHIVES = ("lra_release.gz", "lra_release.tar.gz", "lra_release.tgz")
TOPS = ("", "lra_release/", "lra_release/lra_release/")
"""Where people who unpacked it have its folders."""
TABLES = {"train": "basic_train.tsv", "valid": "basic_val.tsv", "test": "basic_test.tsv"}
SYMBOLS = (b"[MIN", b"[MAX", b"[MED", b"[SM", b"]")
"""In the order of their ids, which follow the digits'."""
FOREIGN = 255
LONGEST = 1999
"""Tokens of an expression in the release."""


def find_listops(root: Path) -> Path | None:
    """The folder of three tables at or below ``root``, or the archive."""
    folders = [f"{top}{folder}" for top in TOPS for folder in ("", "listops-1000", "listops")]
    whole = (root / at for at in folders if all((root / at / f).is_file() for f in TABLES.values()))
    return next(whole, None) or find_archive(root)


def find_archive(root: Path) -> Path | None:
    """``root`` itself, or the archive in it."""
    return root if root.is_file() else first(root, ARCHIVES)


LISTOPS = Copies(LRA_RELEASE, "the folder of basic_{train,val,test}.tsv", find_listops)


def listops(place: Path) -> Corpus:
    """Tokens (digits, operators and closers; ids as in ``trees``) by split.

    Raises DataError with the line for a damaged or foreign table.
    """
    if place.is_file():
        return packed(place.parent, "listops", [place], partial(_archived, place))
    origin = [place / name for name in TABLES.values()]
    return packed(place, "listops", origin, partial(_tables, place))


def _tables(place: Path) -> Iterator[Example]:
    for split, name in TABLES.items():
        with (place / name).open("rb") as lines:
            yield from _parsed(lines, split, str(place / name))


def _archived(archive: Path) -> Iterator[Example]:
    splits = {name: split for split, name in TABLES.items()}
    with members(archive) as each:
        for path, read in each:
            if path.parent.name == "listops-1000" and path.name in splits:
                split = splits.pop(path.name)
                yield from _parsed(read(), split, f"{archive}: {path}")
            if not splits:
                return
    raise zoo.DataError(f"{archive} lacks listops-1000/{', '.join(splits)}")


def _parsed(lines: IO[bytes], split: str, where: str) -> Iterator[Example]:
    """`Source <TAB> Target`, the source nested in parentheses, which are no tokens."""
    header = lines.readline().split()
    if header != [b"Source", b"Target"]:
        raise zoo.DataError(f"{where} does not begin with Source <TAB> Target: it is another table")
    found = False
    for number, line in enumerate(lines, 2):
        source, _, target = line.rstrip(b"\r\n").rpartition(b"\t")
        tokens = tokenized(source)
        if not tokens or FOREIGN in tokens or target not in DIGITS:
            raise zoo.DataError(
                f"{where}, line {number} is no expression with its value: {line[:60]!r}"
            )
        if len(tokens) > LONGEST:
            raise zoo.DataError(
                f"{where}, line {number} has {len(tokens):,} tokens, and the release at most "
                f"{LONGEST:,}: it is another table"
            )
        found = True
        yield Example(split, int(target), (tokens,))
    if not found:
        raise zoo.DataError(f"{where} holds no expression")


DIGITS = [str(digit).encode() for digit in range(10)]


def _ids() -> bytes:
    """By byte, the id of the token it stands for once every symbol is one byte."""
    table = np.full(256, FOREIGN, np.uint8)
    table[[ord(digit) for digit in DIGITS]] = np.arange(10)
    table[10 : 10 + len(SYMBOLS)] = 10 + np.arange(len(SYMBOLS))
    return table.tobytes()


IDS = _ids()


def tokenized(source: bytes) -> bytes:
    """Ids of what stands in one expression, FOREIGN for what should not."""
    for place, symbol in enumerate(SYMBOLS):
        source = source.replace(symbol, bytes([10 + place]))
    return source.translate(IDS, b"() ")


@contextmanager
def members(
    archive: Path,
) -> Iterator[Iterator[tuple[PurePosixPath, Callable[[], IO[bytes]]]]]:
    """Context that yields an archive's files in their order: path, and what opens each.

    Shows how far it is; raises DataError for what is no archive or ends too soon.
    """
    try:
        with (
            archive.open("rb") as raw,
            zoo.advancing(f"reading {archive.name}", archive.stat().st_size, unit="bytes") as told,
            tarfile.open(fileobj=raw, mode="r|*") as opened,
        ):

            def each() -> Iterator[tuple[PurePosixPath, Callable[[], IO[bytes]]]]:
                before = 0
                for member in opened:
                    told(raw.tell() - before)
                    before = raw.tell()
                    if member.isfile():
                        yield PurePosixPath(member.name), partial(_contents, opened, member)

            yield each()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise zoo.DataError(f"{archive} is damaged or no archive: {error}") from error


def _contents(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    found = opened.extractfile(member)
    assert found is not None
    return found
