"""Texts as the rows of a task: chosen examples, cut and encoded as they are taken."""

import numpy as np

from zoo_lra.rows import Bytes, Ints, Ragged, Tokens
from zoo_lra.tokenizers import Tokenizer


class Documents:
    """The examples ``chosen`` of ``texts``, in that order, up to ``length`` tokens of each.

    ``texts`` may be memory-mapped: only what is taken is read. Of pairs (``towers=2``) rows
    ``2 i`` and ``2 i + 1`` are the two of example ``i``.
    """

    width: int | None = None

    def __init__(
        self, texts: Ragged, chosen: Ints, tokenizer: Tokenizer, length: int, towers: int = 1
    ) -> None:
        self.texts, self.chosen = texts, chosen
        self.tokenizer, self.length, self.towers = tokenizer, length, towers
        self.labels: Bytes = texts.labels[chosen]

    def take(self, rows: Ints) -> list[Tokens]:
        """Tokens of each of ``rows``."""
        examples, tower = np.divmod(rows, self.towers)
        texts = self.texts.take(self.chosen[examples] * self.towers + tower)
        return [self.tokenizer.encode(text, self.length) for text in texts]
