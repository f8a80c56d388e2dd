"""The contract of a block: one residual layer around a mixer and a channel mixer."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.channel import Channel
from zoo.flops import Flops
from zoo.mixer import Mixer, State
from zoo.nn import real_positions


class Block(nn.Module, ABC):
    """Built as ``cls(mixer, channel, dim, *, options)``.

    A block says once, in ``layer``, where norms and residuals stand; forward and step both follow
    from it, so the two cannot disagree.
    """

    paper: ClassVar[str] = ""

    def __init__(self, mixer: Mixer, channel: Channel) -> None:
        super().__init__()
        self.mixer, self.channel = mixer, channel

    @abstractmethod
    def layer(
        self,
        x: Float[Tensor, "... d"],
        mix: Callable[[Tensor], Tensor],
        real: Bool[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "... d"]:
        """The whole layer; ``mix`` stands for the mixer, ``self.channel`` for itself.

        ``real`` says which positions are no padding, for what looks across the batch; None: all.
        """

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """All positions at once."""
        real = None if lengths is None else real_positions(lengths, x)
        return self.layer(x, lambda z: self.mixer(z, lengths), real)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        """One token; the state is the mixer's."""

        def mix(z: Tensor) -> Tensor:
            nonlocal state
            y, state = self.mixer.step(z, state)
            return y

        return self.layer(x, mix), state

    def flops(self, batch: int, length: int) -> Flops:
        """Mixer and channel; norms and residuals are left out."""
        empty = Flops(0) if self.channel.empty else self.channel.flops(batch, length)
        return self.mixer.flops(batch, length) + empty
