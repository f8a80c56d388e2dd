"""The contract of a sequence mixer: (b, l, d) to (b, l, d), at once or one token at a time."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.flops import Flops
from zoo.kernel import Kernel, pick

Direction = Literal["causal", "bidirectional"]
Complexity = Literal["l", "l log l", "l sqrt l", "l^2"]
State = Any  # any pytree of tensors and ints; what decoding really carries


class Mixer(nn.Module, ABC):
    """Mixes information along the length; knows nothing of norms, residuals or channel mixing.

    Built as ``cls(dim, *, options)``. A constructor that names ``causal``, ``position``, ``layer``,
    ``depth`` or ``max_length`` is given them by the backbone; every other keyword is an option.
    """

    family: ClassVar[str] = "other"
    paper: ClassVar[str] = ""
    """Author year, arXiv id."""
    complexity: ClassVar[Complexity | None] = None
    """How the time of a forward pass grows with the length, as its source claims."""
    directions: ClassVar[frozenset[Direction]] = frozenset({"causal"})
    positions: ClassVar[frozenset[str]] = frozenset({"none", "embedding"})
    """The places (see ``zoo.Position.place``) where a position may act with this mixer."""
    default_position: ClassVar[str] = "none"
    """The position used when the user names none."""
    owns_channel: ClassVar[bool] = False
    """Whether the layer mixes channels itself, behind a gate, so that it is also stacked alone."""
    kernels: ClassVar[tuple[Kernel, ...]] = ()
    """Fastest first; the last one runs everywhere. Empty: there is only one way."""
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Check name -> why ``zoo check`` may fail it. A known failure that passes is an error."""

    kernel: str = "auto"
    kernel_ran: str = "torch"
    """The kernel that the last forward really used."""

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Mix along ``l``. Causal: y[:, :t] must not depend on x[:, t:].

        Right padding only: row i holds ``lengths[i]`` tokens, all of them when None. What stands in
        the padding must not change what stands before it; outputs in the padding mean nothing.
        """

    def initial_state(self, batch: int) -> State:
        """What decoding carries before the first token, on the mixer's own device."""
        raise ZooError(f"{type(self).__name__} does not decode: it has no step")

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        """The next output and state; after any number of steps it equals ``forward``."""
        raise ZooError(f"{type(self).__name__} does not decode: it has no step")

    def prefill(
        self, x: Float[Tensor, "b l d"], state: State | None = None
    ) -> tuple[Float[Tensor, "b l d"], State]:
        """Many tokens at once after the past in ``state`` (nothing when None); for whole rows only.

        Returns what ``forward`` would, and the state from which ``step`` goes on. Here step by
        step; a mixer that can do better overrides it.
        """
        state = self.initial_state(len(x)) if state is None else state
        outputs = []
        for token in x.unbind(1):
            y, state = self.step(token, state)
            outputs.append(y)
        return torch.stack(outputs, dim=1), state

    @abstractmethod
    def flops(self, batch: int, length: int) -> Flops:
        """Closed form of one forward pass."""

    @abstractmethod
    def state_size(self, length: int) -> int:
        """Real numbers carried per sequence after ``length`` tokens (a complex one is two)."""

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        """Parameter name -> optimizer settings of its own, as {"A_log": {"weight_decay": 0.0}}.

        ``lr`` is absolute, ``lr_scale`` multiplies the run's; every other name is AdamW's.
        """
        return {}

    def pick(self, x: Tensor, *asked: object) -> Kernel:
        """The kernel to use for ``x`` and what else is asked of it; remembered for the record."""
        kernel = pick(self.kernels, self.kernel, x, *asked)
        self.kernel_ran = kernel.name
        return kernel
