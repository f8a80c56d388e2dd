"""Bytes and characters against plain Python."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo_lra.rows import Ragged
from zoo_lra.tokenizers import END, UNKNOWN, ByteTokenizer, CharacterTokenizer, frequent, points

TEXTS = ["plain text", "café <br />", "漢字 and 𝄞 beyond", "", "aaaa bbb cc d"] * 60


def bytes_of(text: str | bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)


def ragged(texts: list[str]) -> Ragged:
    whole = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, whole)])
    return Ragged(bytes_of(b"".join(whole)), ends, np.zeros(len(texts), np.uint8))


def test_bytes_are_themselves() -> None:
    tokenizer = ByteTokenizer()
    for text in filter(None, TEXTS[:5]):
        tokens = tokenizer.encode(bytes_of(text), 9)
        assert tokens.tolist() == list(text.encode()[:9])
    whole = bytes_of("café")
    assert tokenizer.decode(tokenizer.encode(whole, 100).tolist()) == "café"
    assert tokenizer.encode(bytes_of(""), 9).tolist() == [10]


@pytest.mark.parametrize("length", [1, 6, 100])
def test_code_points_are_those_of_python(length: int) -> None:
    for text in TEXTS[:5]:
        assert points(bytes_of(text), length).tolist() == [ord(c) for c in text[:length]]
    assert points(bytes_of(b"a\xff\xe9b"), length).tolist() == [97, 0xFFFD, 0xFFFD, 98][:length]


@pytest.mark.parametrize(("length", "least"), [(1000, 1), (5, 1), (1000, 100), (4, 61)])
def test_characters_are_counted_as_by_hand(length: int, least: int) -> None:
    rows = np.arange(0, len(TEXTS), 2)
    counted = Counter("".join(TEXTS[row][:length] for row in rows))
    known = [character for character, times in counted.items() if times >= least]
    wanted = "".join(sorted(known, key=lambda c: (-counted[c], c)))
    assert frequent(ragged(TEXTS), rows, length, least) == wanted


def test_characters_are_looked_up_and_end() -> None:
    tokenizer = CharacterTokenizer("ab é漢", vocabulary=6)  # room for four of them
    ids = {"a": 2, "b": 3, " ": 4, "é": 5}
    for text in ("ab", "a漢b é𝄞z", "", "é" * 50):
        tokens = tokenizer.encode(bytes_of(text), 7).tolist()
        assert tokens == [ids.get(c, UNKNOWN) for c in text[:6]] + [END]
        assert max(tokens) < tokenizer.vocabulary
    assert tokenizer.decode([2, 5, UNKNOWN, END]) == "aé\N{REPLACEMENT CHARACTER}"
