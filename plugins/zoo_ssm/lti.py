"""A linear time-invariant system of every channel, and three ways to run it.

    x_t = A x_{t-1} + B u_t,    y_t = C x_t

As a convolution with the taps C A^i B to train, token by token to decode, and in blocks to fill
the state of a long past: inside a block by products with matrices made once, across by A^T.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

import zoo

BLOCK = 64
"""Tokens a block: there the products inside cost about as much as those with a state of 64."""


@dataclass(frozen=True)
class Blocks:
    """The system over a block of ``size`` steps, in real numbers; n of them are a state.

    ``forward(x, steps)`` is A^steps x for x (b, d, n) and at most ``size`` steps; ``read``
    (d, size, n) holds C A^i for i = 1 and on, ``drive`` (d, n, size) A^i B from i = size - 1 down
    to 0, ``taps`` (d, size) C A^i B.
    """

    forward: Callable[[Tensor, int], Tensor]
    read: Tensor
    drive: Tensor
    taps: Tensor


class LTI(nn.Module, ABC):
    """d independent systems of one input; ``ways`` outputs, the second for the way back."""

    channels: int
    ways: int

    @abstractmethod
    def taps(self, length: int) -> Float[Tensor, "way d l"]:
        """The convolution kernels C A^i B, i < length."""

    @abstractmethod
    def blocks(self, size: int) -> Blocks:
        """What ``prefill`` needs, of the first way."""

    @abstractmethod
    def discrete(self) -> Any:
        """A, B and C as ``advance`` wants them, so that a loop computes them once."""

    @abstractmethod
    def advance(
        self, discrete: Any, u: Float[Tensor, "b d"], state: Tensor
    ) -> tuple[Float[Tensor, "way b d"], Tensor]:
        """One token, by the recurrence."""

    @abstractmethod
    def initial_state(self, batch: int) -> Tensor:
        """Zeros (b, d, ...)."""

    @abstractmethod
    def to_real(self, state: Tensor) -> Float[Tensor, "b d n"]:
        """A state as ``Blocks`` has it."""

    @abstractmethod
    def from_real(self, state: Float[Tensor, "b d n"]) -> Tensor:
        """Back from ``to_real``."""


def convolution(system: LTI, u: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
    """All outputs at once; those of the second way see only what comes after their token."""
    y: Tensor = zoo.ops.fft_conv(u, *system.taps(u.shape[1]))
    return y


def recurrence(system: LTI, u: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
    """The same, token by token, each way."""
    y = walk(system, u, system.initial_state(len(u)))[0][0]
    if system.ways == 1:
        return y
    back = walk(system, u.flip(1), system.initial_state(len(u)))[0][1].flip(1)
    return y + F.pad(back[:, 1:], (0, 0, 0, 1))


def walk(
    system: LTI, u: Float[Tensor, "b l d"], state: Tensor
) -> tuple[Float[Tensor, "way b l d"], Tensor]:
    """Outputs of every way and the last state, by the recurrence."""
    discrete, outputs = system.discrete(), []
    for token in u.unbind(1):
        y, state = system.advance(discrete, token, state)
        outputs.append(y)
    return torch.stack(outputs, 2), state


def walk_causal(system: LTI, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """``walk`` for ``prefill``: the first way is the only one."""
    y, state = walk(system, u, state)
    return y[0], state


def in_blocks(
    system: LTI, u: Float[Tensor, "b l d"], state: Tensor
) -> tuple[Float[Tensor, "b l d"], Tensor]:
    """What ``walk_causal`` computes, a block of tokens at a time."""
    size = min(BLOCK, 1 << (u.shape[1] - 1).bit_length())
    blocks = system.blocks(size)
    # row t of the square matrix holds the taps t, t - 1 .. 0 and then zeros
    inside = F.pad(blocks.taps.flip(-1), (0, size - 1)).unfold(-1, size, 1).flip(1)
    x, outputs = system.to_real(state), []
    for some in torch.split(u, size, 1):
        steps = some.shape[1]
        within = torch.einsum("dts,bsd->btd", inside[:, :steps, :steps], some)
        outputs.append(within + torch.einsum("dtn,bdn->btd", blocks.read[:, :steps], x))
        driven = torch.einsum("dnt,btd->bdn", blocks.drive[..., size - steps :], some)
        x = blocks.forward(x, steps) + driven
    return torch.cat(outputs, 1), system.from_real(x)


def kernel(
    name: str,
    whole: Callable[[LTI, Tensor], Tensor],
    after: Callable[[LTI, Tensor, Tensor], tuple[Tensor, Tensor]],
    **conditions: Callable[..., str | None],
) -> zoo.Kernel:
    """All outputs without a state; with one, the causal outputs and the state after them.

    ``conditions`` are those of a Kernel. Autocast would round taps and state, so it ends here.
    """

    def run(system: LTI, u: Tensor, state: Tensor | None = None) -> Any:
        if not u.numel():  # no row or no token: nothing to transform
            return u.clone() if state is None else (u.clone(), state)
        able = torch.amp.autocast_mode.is_autocast_available(u.device.type)
        with torch.autocast(u.device.type, enabled=False) if able else nullcontext():
            return whole(system, u) if state is None else after(system, u, state)

    return zoo.Kernel(name, run, **conditions)


KERNELS = (
    kernel("convolution", convolution, in_blocks, refuses=zoo.ops.fused.no_tangents),
    kernel("reference", recurrence, walk_causal),
)
