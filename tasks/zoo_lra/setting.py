"""What one protocol prescribes for one task, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

import zoo
from zoo_lra.heads import Pair, Pooling

Key = Literal[
    "listops",
    "text",
    "retrieval",
    "image",
    "pathfinder",
    "pathfinder64",
    "pathx",
    "pathfinder256",
]
DataSeed = Annotated[int, Field(ge=0, lt=2**63)]
"""What one word of a generator's key can hold."""
Text = Literal["", "bytes", "characters"]
Splits = Literal["given", "own", "validation is test", "sequential", "random"]


@dataclass(frozen=True)
class Setting:
    """One task under one protocol at one budget."""

    recipe: zoo.Recipe
    length: int
    """Longest input in tokens, a CLS not counted; longer ones are cut."""
    pooling: Pooling
    hidden: tuple[float, ...]
    """Widths of the head's hidden layers, in multiples of the width."""
    pair: Pair = "none"
    """How the features of two towers meet."""
    cls: bool = False
    """Whether a token of its own stands before every sequence, to be read by the head."""
    tokens: Text = ""
    """How text becomes tokens: bytes, or characters that are frequent enough."""
    end: bool = False
    """Whether an end token follows every text or expression; ``length`` counts it."""
    scale: tuple[float, float] | None = None
    """Of pixels as floats: what is taken from 0..1, and what the rest is divided by."""
    splits: Splits = "given"
    """Which examples are train, valid or test: as the data set says; a validation split of our
    own; the test split for both; the images cut in their order, or shuffled with seed 42.
    """
    shuffle: Literal["examples", "batches"] = "examples"
    """What every epoch draws anew; `batches` always hold the same examples together."""
    heads: int | None = None
    """Of mixers that have heads; None for their own number."""
    block: Mapping[str, Any] = field(default_factory=dict)
    """Words of `zoo run` around every mixer."""
    position: str | None = None
    """Of mixers that are blind to order; None for their own."""
    tenth: bool = False
    """Whether a mixer may make the model at most a tenth larger than the Transformer."""
    alone: bool = False
    """Whether a mixer that owns its channels is a layer by itself, without an MLP after it."""

    def around(self, mixer: type[zoo.Mixer]) -> Mapping[str, Any]:
        """The words of `zoo run` for this mixer where the user is silent."""
        words = dict(self.block)
        if self.position and mixer.default_position != "none":
            words["position"] = self.position
        if self.heads and not mixer.owns_channel:
            words["mixer.heads"] = self.heads
        if self.alone and mixer.owns_channel:
            words["channel"] = "none"
        return words

    def identity(self) -> Mapping[str, Any]:
        """What of it decides what a score means; the rest is how a model is made and trained."""
        return {
            "head": [self.pooling, list(self.hidden), self.pair],
            "length": self.length,
            "cls": self.cls,
            "tokens": self.tokens,
            "end": self.end,
            "scale": self.scale,
            "splits": self.splits,
            "shuffle": self.shuffle,
        }
