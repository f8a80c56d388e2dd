"""The layer that Gu et al. put around their state space models."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

import zoo
from zoo_ssm.lti import KERNELS, LTI


class Layer(zoo.Mixer):
    """GLU(W gelu(system(x) + D x)): what Gu et al. put between input and output of their layer.

    ``system`` comes from the subclass. Bidirectional, a second C reads the same system run from
    the right, whose first tap weighs the next token.
    """

    family = "ssm"
    complexity = "l log l"
    owns_channel = True
    directions = frozenset({"causal", "bidirectional"})
    kernels: ClassVar[tuple[zoo.Kernel, ...]] = KERNELS
    system: LTI

    def __init__(self, dim: int, system: LTI) -> None:
        super().__init__()
        self.dim, self.system = dim, system
        self.D = nn.Parameter(torch.randn(dim))
        self.output_linear = nn.Linear(dim, 2 * dim)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if lengths is not None:  # causal, too: one transform takes a row with its padding
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        u = x.to(self.wide)
        y: Tensor = self.pick(x).run(self.system, u)
        return self.finish(y, u, x)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: Tensor | None = None
    ) -> tuple[Float[Tensor, "b l d"], Tensor]:
        """``forward`` after the past in ``state``, and the state from which ``step`` goes on.

        Raises ZooError in a bidirectional layer.
        """
        self.require_causal()
        state = self.initial_state(len(x)) if state is None else state
        u = x.to(self.wide)
        y, state = self.pick(x).run(self.system, u, state)
        return self.finish(y, u, x), state

    def initial_state(self, batch: int) -> Tensor:
        """The system's own: zeros (b, d, ...)."""
        self.require_causal()
        return self.system.initial_state(batch)

    def step(self, x: Float[Tensor, "b d"], state: Tensor) -> tuple[Float[Tensor, "b d"], Tensor]:
        u = x.to(self.wide)
        y, state = self.system.advance(self.system.discrete(), u, state)
        return self.finish(y[0], u, x), state

    def finish(self, y: Tensor, u: Tensor, x: Tensor) -> Tensor:
        """The skip, the gate and the mixing of channels; back in the dtype of x."""
        mixed = self.output_linear(F.gelu(torch.addcmul(y, u, self.D.to(u.dtype))).to(x.dtype))
        return F.glu(mixed, dim=-1)

    def layer_flops(self, batch: int, length: int) -> zoo.Flops:
        """All but the taps; products are the mixing of channels.

        Other, with 2.5 n log2 n for a real transform of n = 2 l numbers: two transforms a row and
        one of the taps, 6 for each of n / 2 products of spectra, skip 2, gelu 8, glu 5.
        """
        size = 2 * length
        transforms = (2 * batch + 1) * self.dim * int(2.5 * size * math.log2(size))
        products = 6 * batch * self.dim * length
        pointwise = batch * length * self.dim * (2 + 8 + 5)
        mixing = 4 * batch * length * self.dim * self.dim
        return zoo.Flops(mixing, transforms + products + pointwise)

    @property
    def wide(self) -> torch.dtype:
        """What the system computes in: float32, or what the parameters have if that is more."""
        return torch.promote_types(self.D.dtype, torch.float32)

    def require_causal(self) -> None:
        """Raises ZooError when there is no state to carry."""
        if self.system.ways == 2:
            name = type(self).__name__
            raise zoo.ZooError(f"{name} looks both ways here: it has no step; build it causal=True")

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        """A, B and dt learn at 1e-3 and nothing of them decays, as the authors have it."""
        own = {"lr": 1e-3, "weight_decay": 0.0}
        return {f"system.{name}": own for name, _ in self.system.named_parameters() if name != "C"}
