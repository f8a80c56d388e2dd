"""What Text and Retrieval share: documents of a data set as bytes or characters."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np

import zoo
from zoo_lra.arena import Arena
from zoo_lra.copies import Copies
from zoo_lra.documents import Documents
from zoo_lra.packed import Corpus
from zoo_lra.protocols import Protocol, setting
from zoo_lra.rows import Ints, Ragged, Rows
from zoo_lra.setting import Key
from zoo_lra.tokenizers import ByteTokenizer, CharacterTokenizer, Tokenizer, frequent


class Reading(Arena):
    """A task over texts: a subclass says which, and which of them make each split."""

    characters: ClassVar[int]
    """Ids of S4's vocabulary but the padding, known before the data is here."""
    least: ClassVar[int]
    """How often a character stands in the training texts that is not unknown."""

    def __init__(
        self,
        key: Key,
        budget: zoo.Budget,
        protocol: Protocol,
        length: int | None,
        *,
        data: str,
        root: str,
        copies: Copies,
    ) -> None:
        asked = setting(key, protocol, budget, length).tokens
        vocabulary = self.characters if asked == "characters" else ByteTokenizer.vocabulary
        super().__init__(key, budget, protocol, vocabulary=vocabulary, outputs=2, length=length)
        self.data, self.root, self.copies = data, root, copies

    @property
    @abstractmethod
    def corpus(self) -> Corpus:
        """All texts; raises DataError where they are not here."""

    @property
    @abstractmethod
    def chosen(self) -> Mapping[zoo.Split, Ints]:
        """Examples of each split that this budget takes, in its order: rows of its ``part``."""

    def part(self, split: zoo.Split) -> Ragged:
        """The part of the corpus that a split is taken of."""
        return self.corpus.splits[split]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What the protocol asks for; characters are counted in the training split."""
        if self.setting.tokens != "characters":
            return ByteTokenizer()
        rows = self.chosen["train"][:, None] * self.towers + np.arange(self.towers)
        length = self.setting.length - 1
        return CharacterTokenizer(
            frequent(self.part("train"), rows.ravel(), length, self.least), self.characters
        )

    def load(self) -> Mapping[zoo.Split, Rows]:
        length, towers = self.setting.length, self.towers
        if empty := [split for split, rows in self.chosen.items() if not len(rows)]:
            raise zoo.DataError(
                f"lra/{self.key}: {self.corpus.counts} examples in {self.root or self.data} leave "
                f"none for {', '.join(empty)}: take the whole data set"
            )
        return {
            split: Documents(self.part(split), which, self.tokenizer, length, towers)
            for split, which in self.chosen.items()
        }

    def missing(self) -> str | None:
        return self.copies.missing(self.root, f"lra/{self.key}")

    def provenance(self) -> Mapping[str, str | None]:
        source = "the user's copy" if self.root else self.copies.source.origin
        return {"name": self.data, "sha256": self.corpus.sha256, "source": source}

    def text(self, tokens: list[int]) -> str:
        return self.tokenizer.decode([token for token in tokens if token < self.vocabulary])
