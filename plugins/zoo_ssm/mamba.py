"""Mamba: a state space model whose dynamics depend on the input."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_ssm.selective_scan import KERNELS, LARGEST_STATE, with_state
from zoo_ssm.time_steps import start_steps

State = tuple[Tensor, Tensor]


class Mamba(zoo.Mixer):
    """Gu and Dao 2023, arXiv:2312.00752: convolution, selective scan and gate in one layer.

    ``state`` numbers per channel, a causal convolution over ``conv`` tokens, ``expand * dim``
    channels inside. Parameters are named, shaped and initialised as in the authors' mamba_ssm, so
    their state_dicts load. Raises ZooError when ``state`` exceeds 256.
    """

    family = "ssm"
    complexity = "l"
    owns_channel = True
    paper = "Gu and Dao 2023, arXiv:2312.00752"
    kernels = KERNELS

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 16,
        conv: PositiveInt = 4,
        expand: PositiveInt = 2,
        kernel: Literal["auto", "mamba_ssm", "triton", "numba", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        if state > LARGEST_STATE:
            raise zoo.ZooError(f"mixer.state={state}: at most {LARGEST_STATE}; try mixer.state=16")
        self.dim, self.state, self.conv, self.kernel = dim, state, conv, kernel
        self.inner, self.rank = expand * dim, math.ceil(dim / 16)
        self.in_proj = nn.Linear(dim, 2 * self.inner, bias=False)
        self.conv1d = nn.Conv1d(self.inner, self.inner, conv, groups=self.inner)
        self.x_proj = nn.Linear(self.inner, self.rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(self.rank, self.inner)
        self.A_log = nn.Parameter(torch.empty(self.inner, state))
        self.D = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, dim, bias=False)
        self.reset_dynamics()

    @torch.no_grad()
    def reset_dynamics(self) -> None:
        """A = -1 .. -n in every channel; step sizes log-uniform in [0.001, 0.1]."""
        self.A_log.copy_(torch.arange(1, self.state + 1).log().expand_as(self.A_log))
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        start_steps(self.dt_proj.bias)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        return self.mix(x, self.pick(x))[0]

    def prefill(
        self, x: Float[Tensor, "b l d"], state: State | None = None
    ) -> tuple[Float[Tensor, "b l d"], State]:
        """``forward`` after the past in ``state``, and the state from which ``step`` goes on."""
        kernel = self.pick(x)
        if kernel is KERNELS[0] and torch.is_grad_enabled():
            kernel = with_state(x)  # or the state would be cut off from what made it
            self.kernel_ran = kernel.name
        return self.mix(x, kernel, state)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        kernel = self.pick(x)
        if kernel.name != "numba":  # for one token the plainest is the fastest of the others
            kernel = KERNELS[-1]
        y, state = self.mix(x[:, None], kernel, state)
        return y[:, 0], state

    def mix(
        self, x: Tensor, kernel: zoo.Kernel, state: State | None = None
    ) -> tuple[Tensor, State]:
        """One pass over (b, l, d); without a state it starts from nothing."""
        if not x.shape[1]:  # no token, which no kernel wants to know about
            return x, state or self.initial_state(len(x))
        before, h = (None, None) if state is None else state
        # two products rather than one cut in two: kernels want u and z each contiguous
        u, z = (F.linear(x, half) for half in self.in_proj.weight.chunk(2))  # (b, l, inner)
        weight, bias = self.conv1d.weight[:, 0], self.conv1d.bias
        u, window = zoo.ops.short_conv(
            u, weight, bias, before, silu=True, kernel="torch" if self.plain else "auto"
        )
        low, b, c = self.x_proj(u).split([self.rank, self.state, self.state], dim=-1)
        dt = F.linear(low, self.dt_proj.weight)  # the scan adds the bias, in its own precision
        a = -torch.exp(self.A_log.to(self.wide))
        y, h = kernel.run(u, dt, a, b, c, self.D, z, self.dt_proj.bias, h)
        mixed: Tensor = self.out_proj(y)
        return mixed, (window.to(self.in_proj.weight.dtype), h)

    @property
    def plain(self) -> bool:
        """The kernel "reference" is plain torch all through, with derivatives of every kind."""
        return self.kernel == "reference"

    @property
    def wide(self) -> torch.dtype:
        """What the state is carried in: float32, or what the parameters have if that is more."""
        return torch.promote_types(self.in_proj.weight.dtype, torch.float32)

    def initial_state(self, batch: int) -> State:
        """The convolution's last inputs (b, conv - 1, inner), the scan's h (b, inner, n)."""
        like = self.in_proj.weight
        window = like.new_zeros(batch, self.conv - 1, self.inner)
        return window, like.new_zeros(batch, self.inner, self.state, dtype=self.wide)

    def state_size(self, length: int) -> int:
        return self.inner * (self.conv - 1 + self.state)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """Products: the projections, the convolution, and C h (n a channel).

        Other, by channel and token: 5 n for the state (dt A, its exponential, B times dt u, and a
        multiply-add), dt u 1, bias and softplus 4, skip 2, silu of u 4, silu of z and gate 5.
        """
        inner, n, rank = self.inner, self.state, self.rank
        linear = self.dim * 2 * inner + inner * (rank + 2 * n) + rank * inner + inner * self.dim
        matmul = 2 * (linear + inner * self.conv + inner * n)
        other = inner * (5 * n + 1 + 4 + 2 + 4 + 5)
        return zoo.Flops(batch * length * matmul, batch * length * other)

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        return {name: {"weight_decay": 0.0} for name in ("A_log", "D", "dt_proj.bias")}
