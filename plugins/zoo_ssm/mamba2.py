"""Mamba-2: heads with one decay each, so that the scan becomes matrix products."""

from collections.abc import Mapping
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_ssm.gated_norm import GatedNorm
from zoo_ssm.heads import usual_head, whole
from zoo_ssm.mamba2_scan import KERNELS, Limit
from zoo_ssm.ssd_chunked import cost
from zoo_ssm.time_steps import start_steps

A_MIN, A_MAX = 1.0, 16.0
State = tuple[Tensor, Tensor]


class Mamba2(zoo.Mixer):
    """Dao and Gu 2024, arXiv:2405.21060: convolution, SSD, gated norm in one layer.

    ``expand * dim`` channels in heads of ``head_dim`` (64, or less in the fewest equal heads),
    ``state`` numbers for each channel, B and C shared by the heads of each of ``groups``, a causal
    convolution over ``conv`` tokens, step sizes held within ``dt_limit``. Parameters are named,
    shaped and initialised as in the authors' mamba_ssm, so their state_dicts load. Raises ZooError
    when ``head_dim`` does not divide the channels or ``groups`` the heads, or a limit is no range.
    """

    family = "ssm"
    complexity = "l"
    owns_channel = True
    paper = "Dao and Gu 2024, arXiv:2405.21060"
    kernels = KERNELS

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 128,
        conv: PositiveInt = 4,
        expand: PositiveInt = 2,
        head_dim: PositiveInt | None = None,
        groups: PositiveInt = 1,
        norm_before_gate: bool = False,
        dt_limit: Limit | None = None,
        kernel: Literal["auto", "mamba_ssm", "numba", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        inner = expand * dim
        head_dim = head_dim or usual_head(inner)
        self.heads = whole("head_dim", head_dim, inner, f"the {inner} channels of dim={dim}")
        whole("groups", groups, self.heads, f"the {self.heads} heads")
        if dt_limit is not None and not 0 <= dt_limit[0] <= dt_limit[1]:
            raise zoo.ZooError(
                f"mixer.dt_limit={list(dt_limit)}: the least step, 0 at least, then the largest; "
                "try mixer.dt_limit=[0.001,0.1]"
            )
        self.dim, self.state, self.conv, self.groups = dim, state, conv, groups
        self.inner, self.head_dim, self.dt_limit, self.kernel = inner, head_dim, dt_limit, kernel
        self.mixed = inner + 2 * groups * state  # what the convolution sees: x, B, C
        self.in_proj = nn.Linear(dim, inner + self.mixed + self.heads, bias=False)
        self.conv1d = nn.Conv1d(self.mixed, self.mixed, conv, groups=self.mixed)
        self.dt_bias = nn.Parameter(torch.empty(self.heads))
        self.A_log = nn.Parameter(torch.empty(self.heads))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = GatedNorm(inner, groups=groups, norm_before_gate=norm_before_gate)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.reset_dynamics()

    @torch.no_grad()
    def reset_dynamics(self) -> None:
        """A uniform in [-16, -1]; step sizes log-uniform in [0.001, 0.1]."""
        self.A_log.uniform_(A_MIN, A_MAX).log_()
        start_steps(self.dt_bias)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        return self.mix(x, self.pick(x))[0]

    def prefill(
        self, x: Float[Tensor, "b l d"], state: State | None = None
    ) -> tuple[Float[Tensor, "b l d"], State]:
        """``forward`` after the past in ``state``, and the state from which ``step`` goes on."""
        return self.mix(x, self.pick(x), state)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        y, state = self.mix(x[:, None], KERNELS[-1], state)
        return y[:, 0], state

    def mix(
        self, x: Tensor, kernel: zoo.Kernel, state: State | None = None
    ) -> tuple[Tensor, State]:
        """One pass over (b, l, d); without a state it starts from nothing."""
        if not x.shape[1]:  # no token, which no kernel wants to know about
            return x, state or self.initial_state(len(x))
        before, s = (None, None) if state is None else state
        z, xbc, dt = torch.split(self.in_proj(x), [self.inner, self.mixed, self.heads], dim=-1)
        weight, bias = self.conv1d.weight[:, 0], self.conv1d.bias
        xbc, window = zoo.ops.short_conv(
            xbc, weight, bias, before, silu=True, kernel="torch" if self.plain else "auto"
        )
        shared = self.groups * self.state
        u, b, c = torch.split(xbc, [self.inner, shared, shared], dim=-1)
        u = rearrange(u, "b l (h p) -> b l h p", p=self.head_dim)
        b, c = (rearrange(each, "b l (g n) -> b l g n", g=self.groups) for each in (b, c))
        a = -torch.exp(self.A_log.to(self.wide))
        y, s = kernel.run(u, dt, a, b, c, self.D, self.dt_bias, s, self.dt_limit)
        y = self.norm(rearrange(y, "b l h p -> b l (h p)"), z, plain=self.plain)
        mixed: Tensor = self.out_proj(y)
        return mixed, (window.to(self.in_proj.weight.dtype), s)

    @property
    def plain(self) -> bool:
        """The kernel "reference" is plain torch all through, with derivatives of every kind."""
        return self.kernel == "reference"

    @property
    def wide(self) -> torch.dtype:
        """What the state is carried in: float32, or what the parameters have if that is more."""
        return torch.promote_types(self.in_proj.weight.dtype, torch.float32)

    def initial_state(self, batch: int) -> State:
        """The convolution's last inputs (b, conv - 1, x B C), the scan's S (b, h, n, p)."""
        like = self.in_proj.weight
        window = like.new_zeros(batch, self.conv - 1, self.mixed)
        shape = (batch, self.heads, self.state, self.head_dim)
        return window, like.new_zeros(shape, dtype=self.wide)

    def state_size(self, length: int) -> int:
        return (self.conv - 1) * self.mixed + self.inner * self.state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """The projections, the convolution and SSD in chunks.

        Other besides SSD's: silu 4 for what is convolved; bias, softplus and dt A 5 a head; and by
        channel dt x 1, skip 2, gate 5, norm 4.
        """
        linear = self.dim * (2 * self.inner + self.mixed + self.heads)
        matmul = 2 * (linear + self.mixed * self.conv)
        other = 4 * self.mixed + 5 * self.heads + 12 * self.inner
        scan = cost(length, self.heads, self.groups, self.state, self.head_dim)
        return zoo.Flops(
            batch * (length * matmul + scan.matmul), batch * (length * other + scan.other)
        )

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        return {name: {"weight_decay": 0.0} for name in ("A_log", "D", "dt_bias")}
