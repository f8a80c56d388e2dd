"""Fixed orders and splits of examples: the same on every machine, drawn by no one's mood."""

from hashlib import blake2b
from itertools import pairwise

import numpy as np

from zoo_lra.rows import Bytes, Ints, Ragged


def shuffled(count: int, key: tuple[int, int]) -> Ints:
    """A fixed order of ``count`` things; other keys, other orders.

    Only raw words are taken from the generator, whose values its definition promises.
    """
    words = np.random.Philox(key=list(key)).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def balanced(labels: Bytes, key: tuple[int, int]) -> Ints:
    """A fixed order, shuffled within classes, whose every beginning is as balanced as the whole.

    Reviews are filed by class, so that the first thousand would all be of one.
    """
    order = shuffled(len(labels), key)
    mine = labels[order]
    place = np.empty(len(order))
    for label in np.unique(mine):
        where = np.flatnonzero(mine == label)
        place[where] = (np.arange(len(where)) + 0.5) / len(where)
    return order[np.lexsort((mine, place))]


def digests(texts: Ragged) -> list[bytes]:
    """A digest of 128 bits for each text: what is the same text has the same."""
    bounds, data = texts.offsets.tolist(), np.ascontiguousarray(texts.tokens).data
    return [blake2b(data[a:b], digest_size=16).digest() for a, b in pairwise(bounds)]


def tenths(names: list[bytes]) -> Ints:
    """Which of ten parts each text falls into, by what it says and by nothing else."""
    return np.array([int.from_bytes(name[:8], "little") % 10 for name in names], np.int64)


def unseen(names: list[bytes], but: set[bytes]) -> Ints:
    """Rows of the texts that are none of ``but``, and of each only the first copy."""
    seen, rows = set(but), []
    for row, name in enumerate(names):
        if name not in seen:
            seen.add(name)
            rows.append(row)
    return np.array(rows, np.int64)
