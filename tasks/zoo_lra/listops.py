"""Long Range Arena's ListOps: the value of a nested expression of some thousand symbols."""

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

import zoo
from zoo_lra import release
from zoo_lra.arena import Arena
from zoo_lra.generated import LISTOPS, LISTOPS_FILES
from zoo_lra.packed import Corpus
from zoo_lra.protocols import EXPRESSION, Protocol, setting
from zoo_lra.rows import Bytes, Ragged, Rows, Tokens
from zoo_lra.setting import DataSeed
from zoo_lra.splits import SHARD, generate
from zoo_lra.trees import DIGITS, Rules

VOCABULARY = (*map(str, range(DIGITS)), "[MIN", "[MAX", "[MED", "[SM", "]")
END = len(VOCABULARY)
"""The token after an expression, where a protocol has one."""


class ListOps(Arena):
    """Ten-way classification of expressions such as `[MAX 3 [MIN 7 8 ] 2 ]`, 501 to 1,999 tokens.

    Nangia & Bowman 2018 (arXiv 1804.06028) as set by Tay et al. 2020 (arXiv 2011.04006): the same
    grammar, rejection by length, vocabulary (parentheses are no tokens) and 96,000 / 2,000 / 2,000
    examples. ``data``: `generated`, or `release`, the published files, which came from an unseeded
    generator and are not these. A smaller budget takes the first examples of each split, so its
    test set is part of the whole one.

    Generated expressions are longer than a quarter of ``length`` and shorter than it: 2,000, and
    125 at the budget `cpu`, where minutes on two cores teach nothing about thousands of tokens:
    2,400 steps of 8 left mamba at .338 where the root's operator alone has .326. At 125, where that
    has .325, 2,400 steps of 32 bring it to .38. So a `cpu` row says nothing about long range.

    Protocol `zoo` reads the first position and the last. Measured with mamba at dim 32: under the
    mean or the last position alone it stays at the majority class (.18 to .19 of validation after
    3,500 examples); under this head it has .37 after 3,200.

    The first position is the root's operator, so that head scores .36 with no mixing at all:
    that on the test split, and not the .17 of the commonest answer, is its ``chance``; under the
    other protocols it is the commonest answer. What knowing more of the root is worth (5,000
    training examples): its digits next to either end .45, all its digits .51, the operators among
    its arguments as well .61.

    ``data_seed`` makes other expressions, which is another task. ``workers`` threads generate
    them; the bytes do not depend on their number.
    """

    def __init__(
        self,
        *,
        budget: zoo.Budget = "cpu",
        protocol: Protocol = "zoo",
        data: Literal["generated", "release"] = "generated",
        root: str = "",
        length: Annotated[int, Field(ge=16, le=2000)] | None = None,
        data_seed: DataSeed = 0,
        workers: PositiveInt = 1,
    ) -> None:
        if data == "release" and length is not None:
            raise zoo.ZooError(
                f"task.length={length}: the released expressions have the lengths they have; leave "
                "it out, or type task.data=generated"
            )
        if data == "generated" and budget == "cpu":
            length = length or EXPRESSION
        symbols = len(VOCABULARY) + setting("listops", protocol, budget, None).end
        super().__init__(
            "listops", budget, protocol, vocabulary=symbols, outputs=DIGITS, length=length
        )
        self.data, self.root = data, root
        self.rules = Rules(longer_than=(length or 2000) // 4, shorter_than=length or 2000)
        self.data_seed, self.workers = data_seed, workers

    def load(self) -> Mapping[zoo.Split, Rows]:
        return {split: self.ended(rows) for split, rows in self.expressions.items()}

    @cached_property
    def expressions(self) -> Mapping[zoo.Split, Ragged]:
        """As generated or released, without any end token."""
        if self.data == "release":
            sizes = self.sizes(self.released)
            return {split: shortened(self.corpus.splits[split], sizes[split]) for split in sizes}
        counts = self.sizes(LISTOPS)
        kept = LISTOPS_FILES.rows(counts) if self.usual else None
        if kept is not None:
            return kept
        asked = {str(split): count for split, count in counts.items()}
        made = generate(asked, self.data_seed, self.rules, self.workers)
        return {split: Ragged(*made[split]) for split in counts}

    @property
    def usual(self) -> bool:
        """Whether these are the expressions that `zoo data fetch listops` keeps."""
        return self.data_seed == 0 and self.rules == Rules()

    @cached_property
    def corpus(self) -> Corpus:
        """The released expressions; raises DataError where they are not here."""
        return release.listops(release.LISTOPS.require(self.root, "lra/listops"))

    @property
    def released(self) -> Mapping[zoo.Split, int]:
        """Expressions by split in the release that is here."""
        return {split: self.corpus.counts[split] for split in LISTOPS}

    def missing(self) -> str | None:
        if self.data == "generated":
            return None
        return release.LISTOPS.missing(self.root, "lra/listops")

    def ended(self, rows: Ragged) -> Ragged:
        """With the end token where the protocol has it."""
        if not self.setting.end:
            return rows
        tokens: Bytes = np.insert(rows.tokens, rows.offsets[1:], END)
        return Ragged(tokens, rows.offsets + np.arange(len(rows.offsets)), rows.labels)

    @cached_property
    def chance(self) -> Mapping[str, float]:  # type: ignore[override]
        """What needs no mixing: on the test split, the best answer to what the head reads."""
        train, test = self.expressions["train"], self.expressions["test"]
        reads = self.setting.pooling == "ends"
        roots = [part.tokens[part.offsets[:-1]] * reads for part in (train, test)]
        return {"accuracy": best_answers(roots[0], train.labels, roots[1], test.labels)}

    def data_identity(self) -> Mapping[str, Any]:
        if self.data == "release":
            counts = LISTOPS if self.missing() else self.released
            return {"data": "release", "sizes": self.sizes(counts), "vocabulary": VOCABULARY}
        return {
            "data": "generated",
            "generator": f"listops, Philox 4x64, shards of {SHARD}",
            "rules": self.rules._asdict(),
            "data_seed": self.data_seed,
            "sizes": self.sizes(LISTOPS),
            "vocabulary": VOCABULARY,
        }

    def provenance(self) -> Mapping[str, str | None]:
        if self.data == "release":
            source = "the user's copy" if self.root else release.LRA_RELEASE.origin
            return {"name": "listops-release", "sha256": self.corpus.sha256, "source": source}
        whole = sha256()
        for _, (tokens, offsets, labels) in sorted(self.expressions.items()):
            for part in (tokens, offsets.astype("<i8"), labels):
                whole.update(part.data)
        source = f"generated, data_seed={self.data_seed}"
        return {"name": "listops", "sha256": whole.hexdigest(), "source": source}

    def text(self, tokens: list[int]) -> str:
        return " ".join(VOCABULARY[token] for token in tokens if token < len(VOCABULARY))


def shortened(rows: Ragged, count: int) -> Ragged:
    """The first ``count`` rows."""
    return Ragged(
        rows.tokens[: rows.offsets[count]], rows.offsets[: count + 1], rows.labels[:count]
    )


def best_answers(train: Tokens, answers: Bytes, test: Tokens, wanted: Bytes) -> float:
    """Accuracy of answering each symbol of ``test`` as it was answered most often in ``train``."""
    counts = np.zeros((len(VOCABULARY), DIGITS), np.int64)
    np.add.at(counts, (train, answers), 1)
    return float((counts.argmax(1)[test] == wanted).mean())
