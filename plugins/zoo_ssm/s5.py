"""S5: one state space model with many inputs and outputs, diagonal, run by a scan."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_ssm.complex_maps import drive, read
from zoo_ssm.hippo import normal_part

DT_MIN, DT_MAX = 1e-3, 0.1
CLIP = -1e-4
"""The largest real part of an eigenvalue where they are clipped, as in the authors' code."""
TRUNCATED = 0.87962566103423978
"""Standard deviation of a normal cut off at two."""


class S5(zoo.Mixer):
    """Smith, Warrington and Linderman 2022, arXiv:2208.04933.

        h_t = exp(Lambda dt) h_{t-1} + (exp(Lambda dt) - 1) / Lambda B x_t    (zero-order hold)
        y_t = 2 Re(C h_t) + D x_t;  z = GELU(y);  the output is z * sigmoid(W z + b)

    ``state`` real numbers for the whole layer, kept as half as many complex ones, whose conjugates
    are implied. Lambda starts from the normal part of HiPPO-LegS in each of ``blocks``; a time
    step is learnt for each of its numbers. ``clip`` keeps its real parts below -1e-4, which
    the authors advise for sequences without end. Bidirectional: a second scan from the right with
    a C of its own; the token itself is in both. The output stage is "half_glu1" of the authors'
    SequenceLayer, their default, less dropout. Raises ZooError when ``state`` is no
    multiple of 2 ``blocks``.
    """

    family = "ssm"
    complexity = "l"
    owns_channel = True
    paper = "Smith, Warrington and Linderman 2022, arXiv:2208.04933"
    directions = frozenset({"causal", "bidirectional"})
    kernels = zoo.ops.GATED_SCANS

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        state: PositiveInt = 64,
        blocks: PositiveInt = 4,
        discretization: Literal["zoh", "bilinear"] = "zoh",
        clip: bool = False,
        kernel: Literal["auto", "numba", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        if state % (2 * blocks):
            near = f"mixer.state={2 * blocks * max(1, round(state / blocks / 2))}"
            raise zoo.ZooError(
                f"mixer.state={state}: conjugate pairs in each of mixer.blocks={blocks} need a "
                f"multiple of {2 * blocks}; try {near}"
            )
        self.dim, self.state, self.pairs, self.causal = dim, state, state // 2, causal
        self.discretization, self.clip, self.kernel = discretization, clip, kernel
        ways = 1 if causal else 2
        self.Lambda_re = nn.Parameter(torch.empty(self.pairs))
        self.Lambda_im = nn.Parameter(torch.empty(self.pairs))
        self.B = nn.Parameter(torch.empty(self.pairs, dim, 2))  # re, im
        self.C = nn.Parameter(torch.empty(dim, ways * self.pairs, 2))
        self.D = nn.Parameter(torch.randn(dim))
        self.log_step = nn.Parameter(torch.empty(self.pairs))
        self.gate = nn.Linear(dim, dim)
        self.reset_dynamics(blocks, ways)

    @torch.no_grad()
    def reset_dynamics(self, blocks: int, ways: int) -> None:
        """Steps log-uniform; B and C drawn in HiPPO's own basis, then taken to its eigenvectors V.

        B -> V^* B and C -> C V, with the variances of the authors' lecun_normal and
        trunc_standard_normal (their C is complex already before).
        """
        nn.init.uniform_(self.log_step, math.log(DT_MIN), math.log(DT_MAX))
        size = self.state // blocks
        values, vectors = normal_part(size)
        v = torch.tensor(vectors, dtype=torch.complex64)
        self.Lambda_re.copy_(torch.tensor(values.real).repeat(blocks))
        self.Lambda_im.copy_(torch.tensor(values.imag).repeat(blocks))
        b = truncated(blocks, size, self.dim, fan=self.state).to(v.dtype)
        self.B.copy_(torch.view_as_real(v.mH @ b).flatten(0, 1))
        c = truncated(ways, blocks, self.dim, size, 2, fan=self.state)
        c = torch.view_as_complex(c) @ v  # (ways, blocks, d, size / 2)
        self.C.copy_(torch.view_as_real(c.permute(2, 0, 1, 3).flatten(1)))

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if self.causal:
            return self.prefill(x)[0]
        if lengths is not None:
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        decay, b = self.dynamics()
        driven, kernel = drive(x, b, self.wide), self.pick(x)
        h = [kernel.run(decay, driven, None, reverse)[0] for reverse in (False, True)]
        return self.emit(torch.cat(h, dim=-1), x)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: Tensor | None = None
    ) -> tuple[Float[Tensor, "b l d"], Tensor]:
        """``forward`` after the past in ``state``, and the state from which ``step`` goes on."""
        self.require_causal()
        decay, b = self.dynamics()
        h, last = self.pick(x).run(decay, drive(x, b, self.wide), state)
        return self.emit(h, x), last

    def step(self, x: Float[Tensor, "b d"], state: Tensor) -> tuple[Float[Tensor, "b d"], Tensor]:
        self.require_causal()
        decay, b = self.dynamics()
        h = torch.addcmul(drive(x, b, self.wide), decay, state)
        return self.emit(h, x), h

    def dynamics(self) -> tuple[Tensor, Tensor]:
        """The discrete system: its eigenvalues (n / 2,) and its B (n / 2, d), complex."""
        wide = self.wide
        real = self.Lambda_re.to(wide)
        values = torch.complex(real.clamp(max=CLIP) if self.clip else real, self.Lambda_im.to(wide))
        dt, b = torch.exp(self.log_step.to(wide)), torch.view_as_complex(self.B.to(wide))
        if self.discretization == "zoh":
            return torch.exp(values * dt), (torch.expm1(values * dt) / values)[:, None] * b
        turn = values * dt / 2
        return (1 + turn) / (1 - turn), (dt / (1 - turn))[:, None] * b

    def emit(self, h: Tensor, x: Tensor) -> Tensor:
        """States (..., n / 2), both ways side by side, and inputs (..., d) to outputs (..., d)."""
        c = 2 * torch.view_as_complex(self.C.to(self.wide))
        # the authors' framework takes GELU by its tanh form
        z = F.gelu(read(h, c, x.dtype) + self.D * x, approximate="tanh")
        return (z * torch.sigmoid(self.gate(z))).to(x.dtype)

    def require_causal(self) -> None:
        if not self.causal:
            raise zoo.ZooError("a bidirectional S5 cannot decode; build it with causal=True")

    @property
    def wide(self) -> torch.dtype:
        """The precision of dynamics and state: float32, or the parameters' if that is more."""
        return torch.promote_types(self.D.dtype, torch.float32)

    def initial_state(self, batch: int) -> Tensor:
        """h (b, n / 2), complex."""
        self.require_causal()
        return self.D.new_zeros(batch, self.pairs, dtype=self.wide.to_complex())

    def state_size(self, length: int) -> int:
        return self.state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """Products: B and C, complex by real and its real part, and the output's gate.

        Other, by token: a complex multiply-add for each number of state and way, and by channel
        the skip 2, GELU 8, gate 5.
        """
        ways = 1 if self.causal else 2
        matmul = 2 * (self.dim * self.state * (1 + ways) + self.dim**2)
        other = 8 * self.pairs * ways + 15 * self.dim
        return zoo.Flops(batch * length * matmul, batch * length * other)

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        """A learning rate of their own and no decay, as in the authors' "standard" setting."""
        names = ("Lambda_re", "Lambda_im", "B", "log_step")
        return {name: {"lr": 1e-3, "weight_decay": 0.0} for name in names}


def truncated(*shape: int, fan: int) -> Tensor:
    """Normal numbers of variance 1 / fan, none beyond two standard deviations."""
    scale = 1 / math.sqrt(fan) / TRUNCATED
    return nn.init.trunc_normal_(torch.empty(shape), 0, scale, -2 * scale, 2 * scale)
