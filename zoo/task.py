"""The contract of a task: data, head and the yardstick it is scored with."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.head import Head
from zoo.identity import digest
from zoo.mixer import Mixer
from zoo.names import Budget, Split

Schedule = Literal["cosine", "constant", "linear", "rsqrt"]
IGNORED = -100
"""A target that is not scored; cross_entropy's own default ignore_index."""


class Batch(NamedTuple):
    """One batch; right-padded, ``lengths`` says where the padding starts."""

    inputs: Tensor
    """(b, l) token ids, or (b, l, f) reals; of a task of two towers (2 b, ...), pair by pair."""
    targets: Tensor
    """(b,) or (b, l) class ids, IGNORED where nothing is scored."""
    lengths: Tensor | None = None
    """(b,), or None when every row is full."""

    @property
    def real_positions(self) -> int:
        """Real positions, without the padding."""
        if self.lengths is None:
            return self.inputs.shape[0] * self.inputs.shape[1]
        return int(self.lengths.sum())


@dataclass(frozen=True)
class Tally:
    """A sum and how many items it is over: tallies of batches add up to an exact mean."""

    total: Tensor
    count: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean over the items."""
        return self.total / self.count

    @classmethod
    def over(cls, values: Tensor, scored: Tensor | None = None) -> "Tally":
        """Of ``values`` where ``scored``, everywhere when None. Never waits for a GPU."""
        values = values.float()
        if scored is None:
            return cls(values.sum(), torch.full_like(values.sum(), values.numel()))
        return cls(values.where(scored, 0).sum(), scored.sum().to(values.dtype))


@dataclass(frozen=True)
class Recipe:
    """How a task is trained under its budget; each field is a key of `zoo run` (`dim=128`)."""

    dim: int
    depth: int
    steps: int
    batch_size: int
    lr: float
    weight_decay: float = 0.01
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises linearly; above 1 it never arrives."""
    schedule: Schedule = "cosine"
    """What follows: down to zero by a cosine or a line, constant, or falling as 1 / sqrt(step)."""
    beta2: float = 0.999
    """AdamW's memory of squared gradients."""
    decay: Literal["matrices", "all"] = "matrices"
    """What weight decay acts on; in both, what a mixer says of its own parameters stands."""
    clip: float = 1.0
    """Norm to which gradients are clipped; 0 for never."""
    evaluate_every: int = 100
    """Steps between looks at the validation split, where the best step is chosen."""
    match: str = ""
    """`params:200k`: the size every mixer gets, unless the user names a size or a width."""


class Task(ABC):
    """What goes in, what comes out, how it is scored.

    Built as ``cls(*, budget, options)``. Every draw is a pure function of a seed and a step, so
    that a run can stop and go on anywhere, with any number of workers.
    """

    version: ClassVar[int] = 1
    """Raised when the same options give other examples or another score."""
    causal: ClassVar[bool] = False
    """Whether a position may only see its past; if not, the mixer's best direction is used."""
    headline: ClassVar[str] = "accuracy"
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"loss"})
    """Metrics where less is better; in all others more is."""

    protocol: str = "zoo"
    budget: Budget
    inputs: int
    """Number of token ids, or of features when ``real``."""
    real: bool = False
    """Whether inputs are (b, l, f) reals rather than token ids."""
    outputs: int
    towers: int = 1
    """Rows of a batch that make one example: 2 where a pair of sequences is compared."""
    needs_future: bool = False
    """Whether a causal mixer could not see what it is asked for (the first position is read)."""
    variant: str = ""
    """What sets this apart from the task that its name promises, as `imdb-train` for a stand-in;
    the record's name is then `lra/text:imdb-train`.
    """
    averages: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Means over a suite that have a name in the literature, and the tasks they are over."""
    max_length: int
    """The longest input it will ever show, test grid included."""
    grid: tuple[int, ...] = ()
    """Lengths at which the test split is also scored: the curve in the record."""
    trained_to: int | None = None
    """The longest of such lengths that training shows; beyond it a mixer extrapolates."""
    chance: Mapping[str, float] = {}
    """By metric, what a model scores that has learnt nothing of the task's point: by guessing, or
    by what can be read off without mixing.
    """

    @abstractmethod
    def recipe(self) -> Recipe:
        """The training recipe of this protocol at this budget."""

    @abstractmethod
    def head(self, dim: int) -> Head:
        """Features (b, l, dim) to logits."""

    def backbone(self, mixer: type[Mixer]) -> Mapping[str, Any]:
        """What the protocol puts around this mixer, as the words of `zoo run`, where users are
        silent: {"block": "postnorm", "block.dropout": 0.1, "mixer.heads": 8}. An option that the
        class does not have, or of a class the user replaced, is left out.
        """
        return {}

    def missing(self) -> str | None:
        """Why the data is not here and what to type to get it; None when it can be had."""
        return None

    def prepare(self) -> None:  # noqa: B027 - most tasks have nothing to prepare
        """Generate or load what the splits need; raises DataError. Called once before any batch."""

    @abstractmethod
    def train_batch(self, seed: int, step: int, batch_size: int) -> Batch:
        """Batch number ``step`` of the run with this seed; a pure function of its arguments."""

    @abstractmethod
    def batches(self, split: Split, batch_size: int, length: int | None = None) -> Iterator[Batch]:
        """A whole split in order, or the test split at one length of the ``grid``."""

    def score(self, logits: Tensor, batch: Batch) -> dict[str, Tally]:
        """'loss', which is trained on, and the metrics, headline among them."""
        return classification(logits, batch.targets)

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Everything that decides what a score means: generator, tokenizer, splits, head."""

    @property
    def length(self) -> int:
        """The longest training input; FLOPs per token are quoted at it."""
        return self.max_length

    @property
    def id(self) -> str:
        """Hash of the identity, version, protocol, budget and selection rule."""
        rule = {"select": "best validation headline", "headline": self.headline}
        whole = {"protocol": self.protocol, "budget": self.budget, "version": self.version}
        return digest({"class": type(self).__name__, **whole, **rule, **self.identity()})[:12]

    def title(self, name: str) -> str:
        """What its records are called: the ``name`` on the shelf, and the variant after a colon."""
        return f"{name}:{self.variant}" if self.variant else name

    def provenance(self) -> Mapping[str, str | None]:
        """``name``, ``sha256`` and ``source`` of the data, for the record."""
        return {"name": type(self).__name__.lower(), "sha256": None, "source": "generated"}

    def text(self, tokens: list[int]) -> str:
        """Token ids as a person reads them, for `zoo sample`."""
        return " ".join(map(str, tokens))


def classification(logits: Tensor, targets: Tensor) -> dict[str, Tally]:
    """Cross-entropy in nats and accuracy over the targets that are not IGNORED."""
    scored = targets != IGNORED
    flat = logits.flatten(0, -2).float()
    loss = F.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="none")
    return {
        "loss": Tally.over(loss, scored.flatten()),
        "accuracy": Tally.over(logits.argmax(-1) == targets, scored),
    }


def epoch_rows(count: int, seed: int, step: int, batch_size: int) -> Tensor:
    """(batch_size,) rows of a data set of ``count`` for one step: every epoch its own shuffle.

    A pure function: epochs follow one another without a gap, and a batch may span two of them.
    Raises no error for a batch larger than the set; it then spans several epochs.
    """
    places = torch.arange(step * batch_size, (step + 1) * batch_size)
    rows = torch.empty_like(places)
    for epoch in torch.unique(places // count).tolist():
        mine = places // count == epoch
        rows[mine] = _shuffle(count, seed, epoch)[places[mine] % count]
    return rows


@lru_cache(maxsize=2)
def _shuffle(count: int, seed: int, epoch: int) -> Tensor:
    """The order of one epoch; two are kept, since a batch may span two."""
    source = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=source)
