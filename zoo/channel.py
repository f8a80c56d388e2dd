"""The contract of a channel mixer: the feed-forward half of a layer, one position at a time."""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from zoo.flops import Flops


class Channel(nn.Module, ABC):
    """Built as ``cls(dim, *, options)``. An ``empty`` one is left out, its norm too."""

    paper: ClassVar[str] = ""
    empty: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Mix the features of each position by itself."""

    @abstractmethod
    def flops(self, batch: int, length: int) -> Flops:
        """Closed form of one forward pass over (b, l, d)."""
