"""Long Range Arena's Text: whether a review is positive, read letter by letter."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

import zoo
from zoo_lra import imdb, movie_reviews
from zoo_lra.orders import balanced, digests, tenths, unseen
from zoo_lra.packed import Corpus
from zoo_lra.protocols import Protocol
from zoo_lra.reading import Reading
from zoo_lra.rows import Ints, Ragged

Which = Mapping[zoo.Split, Ints]


class Text(Reading):
    """Two classes of IMDB reviews (Maas et al. 2011) as bytes or characters.

    ``data=imdb`` is the data set with its own training and test split, 25,000 reviews each. The
    originals look at the test split to choose the best step, and so do the protocols named after
    them. Under ours the validation split is a tenth of the training reviews, by a hash of their
    text; of twins one stays, and none of those that also stand in the test split.

    ``data=imdb-train`` is a stand-in where only packages can be had: the 25,000 training reviews
    alone (24,904 texts; of twins the first copy stays), in tenths by a hash of the text: one to
    test, one to validate where a protocol validates, the rest to train. Its test split is not
    IMDB's, so its task is another: `lra/text:imdb-train`.

    Smaller budgets take the first examples of a fixed order that is balanced all along.
    ``root`` is a folder of the user's own copy, ``length`` cuts reviews elsewhere than the
    protocol does.
    """

    characters = 134  # its own loader counts 135 with the padding
    least = 15

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Protocol = "zoo",
        data: Literal["imdb", "imdb-train"] = "imdb",
        root: str = "",
        length: PositiveInt | None = None,
    ) -> None:
        copies = imdb.COPIES if data == "imdb" else movie_reviews.COPIES
        super().__init__("text", budget, protocol, length, data=data, root=root, copies=copies)
        self.variant = "" if data == "imdb" else data

    @cached_property
    def corpus(self) -> Corpus:
        """All reviews; raises DataError where they are not here."""
        place = self.copies.require(self.root, "lra/text")
        return imdb.read(place) if self.data == "imdb" else movie_reviews.read(place)

    @cached_property
    def chosen(self) -> Which:
        """Rows of each split in the order that budgets cut: of the training and test reviews."""
        own = self.setting.splits == "own"
        which = _official(self.corpus, own) if self.data == "imdb" else _tenths(self.corpus, own)
        sizes = self.sizes({split: len(rows) for split, rows in which.items()})
        return {
            split: rows[balanced(self.part(split).labels[rows], (10, 0))[: sizes[split]]]
            for split, rows in which.items()
        }

    def part(self, split: zoo.Split) -> Ragged:
        if self.data == "imdb-train":
            return self.corpus.splits["train"]
        test = split == "test" or (split == "valid" and self.setting.splits != "own")
        return self.corpus.splits["test" if test else "train"]

    def data_identity(self) -> Mapping[str, Any]:
        official = imdb.COUNTS if self.data == "imdb" else {"train": movie_reviews.COUNTS["rows"]}
        counts = official if self.missing() else self.corpus.counts
        return {"data": self.data, "reviews": counts, "split by": "blake2b", "order": "balanced"}


def _official(corpus: Corpus, own: bool) -> Which:
    """IMDB's own splits; validation of the training reviews, or the test split again."""
    train, test = (digests(corpus.splits[split]) for split in ("train", "test"))
    everything = np.arange(len(test))
    if not own:
        return {"train": np.arange(len(train)), "valid": everything, "test": everything}
    rows = unseen(train, set(test))
    part = tenths([train[row] for row in rows.tolist()])
    return {"train": rows[part != 0], "valid": rows[part == 0], "test": everything}


def _tenths(corpus: Corpus, own: bool) -> Which:
    """Splits of the one part there is, by the text; twins are dropped."""
    names = digests(corpus.splits["train"])
    rows = unseen(names, set())
    part = tenths([names[row] for row in rows.tolist()])
    test = rows[part == 0]
    if not own:
        return {"train": rows[part != 0], "valid": test, "test": test}
    return {"train": rows[part > 1], "valid": rows[part == 1], "test": test}
