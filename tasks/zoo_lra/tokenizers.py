"""How text becomes tokens: its bytes, or characters and an end."""

from typing import ClassVar, Protocol

import numpy as np

from zoo_lra.rows import Ints, Ragged, Tokens

UNKNOWN, END = 0, 1
"""The first ids of characters."""
NEWLINE = 10


class Tokenizer(Protocol):
    """Ids from 0 to ``vocabulary - 1``."""

    @property
    def vocabulary(self) -> int:
        """How many there are."""

    def encode(self, text: Tokens, length: int) -> Tokens:
        """Up to ``length`` tokens of the UTF-8 bytes ``text``."""

    def decode(self, tokens: list[int]) -> str:
        """The text as a person reads it."""


class ByteTokenizer:
    """The bytes themselves; a text without any is one newline, for a row has something to read.

    Tay et al. add 1, for their id 0 is the padding; here the padding has the last id. Ids are
    names: which row of the embedding belongs to which byte changes nothing.
    """

    vocabulary: ClassVar[int] = 256

    def encode(self, text: Tokens, length: int) -> Tokens:
        return text[:length] if len(text) else np.array([NEWLINE], np.uint8)

    def decode(self, tokens: list[int]) -> str:
        return bytes(tokens).decode(errors="replace")


class CharacterTokenizer:
    """Characters of UTF-8 text that are frequent enough, the others unknown, and an end.

    ``characters`` is counted by ``frequent``. The end is part of the length, as in S4's loaders.
    """

    def __init__(self, characters: str, vocabulary: int) -> None:
        self.characters = characters[: vocabulary - 2]
        self.vocabulary = vocabulary
        self._ids = np.full(0x110000, UNKNOWN, np.uint8 if vocabulary <= 256 else np.uint16)
        self._ids[[ord(character) for character in self.characters]] = np.arange(
            2, 2 + len(self.characters)
        )

    def encode(self, text: Tokens, length: int) -> Tokens:
        ids = self._ids[points(text, length - 1)]
        ended: Tokens = np.append(ids, ids.dtype.type(END))
        return ended

    def decode(self, tokens: list[int]) -> str:
        known = dict(enumerate(self.characters, 2))
        return "".join(known.get(token, "\N{REPLACEMENT CHARACTER}") for token in tokens[:-1])


def frequent(texts: Ragged, rows: Ints, length: int, least: int) -> str:
    """Characters that stand ``least`` times in the first ``length`` of each text, commonest first.

    Equally common ones stand in the order of their code points.
    """
    counts = np.zeros(0x110000, np.int64)
    for start in range(0, len(rows), 256):  # few at a time: a text may be memory-mapped
        taken = texts.take(rows[start : start + 256])
        times = np.bincount(np.concatenate([points(text, length) for text in taken]))
        counts[: len(times)] += times
    known = np.flatnonzero(counts >= least)
    return "".join(map(chr, known[np.argsort(-counts[known], kind="stable")].tolist()))


def points(text: Tokens, length: int) -> Ints:
    """Code points of the first ``length`` characters; a byte that is no UTF-8 is U+FFFD."""
    some = text[: 4 * length]  # no character is longer
    if some.max(initial=0) < 0x80:
        return some[:length].astype(np.int64)
    decoded = some.tobytes().decode(errors="replace")[:length]
    return np.frombuffer(decoded.encode("utf-32-le"), "<u4").astype(np.int64)
