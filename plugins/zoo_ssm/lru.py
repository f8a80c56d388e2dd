"""The linear recurrent unit: what an RNN needs to learn as well as a deep state space model."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

import zoo
from zoo_ssm.complex_maps import drive, read


class LRU(zoo.Mixer):
    """Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu and De 2023, arXiv:2303.06349.

        h_t = lambda h_{t-1} + exp(gamma_log) B x_t,  lambda = exp(-exp(nu_log) + i exp(theta_log))
        y_t = Re(C h_t) + D x_t, then GELU and a gated linear unit

    ``state`` complex numbers for the whole layer, |lambda| < 1 whatever is learnt. It starts with
    lambda uniform on the ring from ``r_min`` to ``r_max``, with phases up to ``max_phase``. The
    output stage is the paper's (figure 1, less dropout). Raises ZooError when r_min
    is not below r_max.
    """

    family = "ssm"
    complexity = "l"
    owns_channel = True
    paper = "Orvieto et al. 2023, arXiv:2303.06349"
    kernels = zoo.ops.GATED_SCANS

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 64,
        r_min: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        r_max: Annotated[float, Field(gt=0, le=1)] = 1.0,
        max_phase: PositiveFloat = 2 * math.pi,
        kernel: Literal["auto", "numba", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        if r_min >= r_max:
            raise zoo.ZooError(f"mixer.r_min={r_min} is not below r_max={r_max}; try mixer.r_min=0")
        self.dim, self.state, self.kernel = dim, state, kernel
        self.nu_log = nn.Parameter(torch.empty(state))
        self.theta_log = nn.Parameter(torch.empty(state))
        self.gamma_log = nn.Parameter(torch.empty(state))
        self.B = nn.Parameter(torch.randn(state, dim, 2) / math.sqrt(2 * dim))  # re, im
        self.C = nn.Parameter(torch.randn(dim, state, 2) / math.sqrt(state))
        self.D = nn.Parameter(torch.randn(dim))
        self.out = nn.Linear(dim, 2 * dim)
        self.reset_ring(r_min, r_max, max_phase)

    @torch.no_grad()
    def reset_ring(self, r_min: float, r_max: float, max_phase: float) -> None:
        """|lambda|^2 uniform in [r_min^2, r_max^2]; gamma such that noise gives states of size 1.

        In double precision: near the circle gamma is nearly nothing.
        """
        u = torch.rand(self.state, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        squared = r_min**2 + u * (r_max**2 - r_min**2)
        self.nu_log.copy_((-0.5 * squared.log()).log())
        phase = max_phase * torch.rand(self.state, dtype=torch.float64).clamp_min(1e-6)
        self.theta_log.copy_(phase.log())
        self.gamma_log.copy_(0.5 * (1 - squared).log())

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        return self.prefill(x)[0]

    def prefill(
        self, x: Float[Tensor, "b l d"], state: Tensor | None = None
    ) -> tuple[Float[Tensor, "b l d"], Tensor]:
        """``forward`` after the past in ``state``, and the state from which ``step`` goes on."""
        decay, b = self.dynamics()
        h, last = self.pick(x).run(decay, drive(x, b, self.wide), state)
        return self.emit(h, x), last

    def step(self, x: Float[Tensor, "b d"], state: Tensor) -> tuple[Float[Tensor, "b d"], Tensor]:
        decay, b = self.dynamics()
        h = torch.addcmul(drive(x, b, self.wide), decay, state)
        return self.emit(h, x), h

    def dynamics(self) -> tuple[Tensor, Tensor]:
        """lambda (n,) and exp(gamma_log) B (n, d), complex."""
        wide = self.wide
        radius = torch.exp(-torch.exp(self.nu_log.to(wide)))
        b = torch.exp(self.gamma_log.to(wide))[:, None, None] * self.B.to(wide)
        decay = torch.polar(radius, torch.exp(self.theta_log.to(wide)))
        return decay, torch.view_as_complex(b)

    def emit(self, h: Tensor, x: Tensor) -> Tensor:
        """States (..., n) and inputs (..., d) to outputs (..., d)."""
        y = read(h, torch.view_as_complex(self.C.to(self.wide)), x.dtype) + self.D * x
        # the authors' framework takes GELU by its tanh form
        mixed: Tensor = F.glu(self.out(F.gelu(y, approximate="tanh")))
        return mixed.to(x.dtype)

    @property
    def wide(self) -> torch.dtype:
        """The precision of dynamics and state: float32, or the parameters' if that is more."""
        return torch.promote_types(self.D.dtype, torch.float32)

    def initial_state(self, batch: int) -> Tensor:
        """h (b, n), complex."""
        return self.D.new_zeros(batch, self.state, dtype=self.wide.to_complex())

    def state_size(self, length: int) -> int:
        return 2 * self.state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """Products: B and C, complex by real and its real part, and the output's linear map.

        Other, by token: a complex multiply-add for each number of state, and by channel the skip
        2, GELU 8, gate 5.
        """
        matmul = 2 * (2 * 2 * self.dim * self.state + 2 * self.dim**2)
        other = 8 * self.state + 15 * self.dim
        return zoo.Flops(batch * length * matmul, batch * length * other)

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        """Half the learning rate and no decay on the dynamics and B, as minimal-LRU has it."""
        names = ("nu_log", "theta_log", "gamma_log", "B")
        return {name: {"lr_scale": 0.5, "weight_decay": 0.0} for name in names}
