"""Pairs of papers of the ACL Anthology Network, as the arena's authors released them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

import zoo
from zoo_lra.copies import Copies
from zoo_lra.packed import Corpus, Example, packed
from zoo_lra.sources import AAN

FILES = {
    split: f"new_aan_pairs.{name}.tsv"
    for split, name in (("train", "train"), ("valid", "eval"), ("test", "test"))
}
COUNTS = {"train": 147_086, "valid": 18_090, "test": 17_437}
KEPT = 4000
"""Characters of each paper that are kept: what every protocol reads at most."""
FOLDERS = ("", "tsv_data", "lra_release/tsv_data", "lra_release/lra_release/tsv_data", "aan")


def find(root: Path) -> Path | None:
    """The folder that holds the three tables; ``root`` may be one of them."""
    folders = [root.parent] if root.is_file() else [root / tail for tail in FOLDERS]
    return next((at for at in folders if all((at / f).is_file() for f in FILES.values())), None)


COPIES = Copies(AAN, "the folder of new_aan_pairs.{train,eval,test}.tsv", find, instead=AAN.instead)


def read(place: Path) -> Corpus:
    """The first 4,000 characters of every paper, as bytes; label 1 where one cites the other.

    10.6 GB are streamed once, in constant memory; what is kept of them is 1.5 GB. Raises
    DataError with the line for a damaged or foreign file.
    """
    origin = [place / file for file in FILES.values()]
    return packed(place, "aan", origin, partial(_examples, place))


def _examples(place: Path) -> Iterator[Example]:
    total = sum((place / file).stat().st_size for file in FILES.values())
    with zoo.advancing("reading new_aan_pairs", total, unit="bytes") as advance:
        for split, file in FILES.items():
            number = 0
            with (place / file).open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    yield _parsed(line, split, f"{place / file}, line {number}")
                    advance(len(line))
            if not number:
                raise zoo.DataError(f"{place / file} is empty")


def _parsed(line: bytes, split: str, where: str) -> Example:
    r"""`label <TAB> id <TAB> id <TAB> text <TAB> text`, without quoting, as Tay et al. read it.

    S4's loader leaves quoting on (pandas), so that a text which begins with a quote would swallow
    what follows. A written-out `\n` stays the two characters that it is.
    """
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) != 5:
        what = "the ids without the texts" if len(fields) == 3 else "label, two ids, two texts"
        found = f"{len(fields)} fields" + (f", {what}" if len(fields) == 3 else "")
        raise zoo.DataError(f"{where}: {found}; wanted 5 by tabs: label, two ids, two texts")
    try:
        label = float(fields[0])
    except ValueError:
        label = -1
    if label not in (0, 1):
        raise zoo.DataError(f"{where}: label {fields[0][:20]!r}; wanted 0 or 1, or 0.0 or 1.0")
    return Example(split, int(label), (beginning(fields[3]), beginning(fields[4])))


def beginning(text: bytes, characters: int = KEPT) -> bytes:
    """The bytes of the first ``characters`` characters of UTF-8."""
    head = text[:characters]
    if len(text) <= characters or head.isascii():
        return head
    some = np.frombuffer(text[: 4 * characters + 4], np.uint8)
    starts = np.flatnonzero((some & 0xC0) != 0x80)  # a byte that goes on a character is 10xxxxxx
    return text[: int(starts[characters])] if len(starts) > characters else some.tobytes()
