"""Long Range Arena's Retrieval: whether two documents belong together, each read by itself."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import PositiveInt

import zoo
from zoo_lra import aan, shakespeare
from zoo_lra.orders import balanced
from zoo_lra.packed import Corpus
from zoo_lra.protocols import Protocol
from zoo_lra.reading import Reading
from zoo_lra.rows import Ints


class Retrieval(Reading):
    """Two classes of pairs of documents: two towers of one backbone, compared by the head.

    ``data=aan`` is pairs of papers, one citing the other or not, up to 4,000 bytes of each
    (Radev et al. 2013, as paired by Tay et al. 2020, arXiv 2011.04006): 147,086 to train, 18,090
    to validate, 17,437 to test.

    ``data=shakespeare`` is a stand-in where only packages can be had: passages of 4,000 bytes of
    Shakespeare's works, of one work or of two; 8,000, 1,000 and 1,000 pairs, half of them alike.
    No passage is in two splits, and every passage stands as often in pairs alike as not, so that
    one tower alone tells nothing. Passages return within a split: 1,000 test pairs are of some
    250 passages, and an interval over pairs is too narrow. Speakers' names give much away.

    Smaller budgets take the first pairs of a fixed order that is balanced all along. ``root`` is
    a folder of the user's own copy, ``length`` cuts documents elsewhere than the protocol does,
    up to 4,000.
    """

    characters = 97  # its own loader counts 98 with the padding
    least = 1

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Protocol = "zoo",
        data: Literal["aan", "shakespeare"] = "aan",
        root: str = "",
        length: PositiveInt | None = None,
    ) -> None:
        if length is not None and length > aan.KEPT:
            raise zoo.ZooError(
                f"lra/retrieval keeps {aan.KEPT} characters of a document; task.length={length} "
                "is more"
            )
        copies = aan.COPIES if data == "aan" else shakespeare.COPIES
        super().__init__("retrieval", budget, protocol, length, data=data, root=root, copies=copies)
        self.variant = "" if data == "aan" else data

    @cached_property
    def corpus(self) -> Corpus:
        """All pairs; raises DataError where they are not here."""
        place = self.copies.require(self.root, "lra/retrieval")
        return aan.read(place) if self.data == "aan" else shakespeare.read(place)

    @cached_property
    def chosen(self) -> Mapping[zoo.Split, Ints]:
        """Pairs of each split that this budget takes, in its order."""
        splits: tuple[zoo.Split, ...] = ("train", "valid", "test")
        orders = {s: balanced(self.corpus.splits[s].labels, (20, 0)) for s in splits}
        sizes = self.sizes({split: len(order) for split, order in orders.items()})
        return {split: order[: sizes[split]] for split, order in orders.items()}

    def data_identity(self) -> Mapping[str, Any]:
        official = aan.COUNTS if self.data == "aan" else shakespeare.PAIRS
        counts = official if self.missing() else self.corpus.counts
        return {"data": self.data, "pairs": counts, "order": "balanced"}
