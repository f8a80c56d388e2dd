"""Mamba-3: a trapezoidal, rotating state that several inputs at once may write and read."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int
from pydantic import Field, PositiveInt
from torch import Tensor, nn

import zoo
from zoo_ssm.gated_norm import GatedNorm
from zoo_ssm.heads import usual_head, whole
from zoo_ssm.mamba3_scan import KERNELS
from zoo_ssm.ssd_chunked import cost
from zoo_ssm.time_steps import start_steps

A_FLOOR = 1e-4
EPS = 1e-5
Fraction = Annotated[float, Field(gt=0, le=1)]
State = tuple[Tensor, Tensor, Tensor, Tensor]


class Mamba3(zoo.Mixer):
    """Lahoti et al. 2026, arXiv:2603.15569: S_t = a S_t-1 + b B_t-1 x_t-1 + g B_t x_t, y = C_t S_t.

    a = exp(-dt softplus(A)), b = (1 - lambda) dt a, g = lambda dt. B and C are normalised, biased
    and turned by the sum of pi tanh(angle) dt so far: a complex state. ``state`` numbers a channel,
    heads of ``head_dim`` channels (64, or less in the fewest equal heads) that share B and C
    in ``groups``, a ``rope_fraction`` of the state turning. ``rank`` > 1 is the paper's MIMO: so
    many B, C and x a token. ``out_norm`` puts an RMSNorm by head before the gate. The layer ends
    with gate and projection, has no convolution.

    Parameters are named, shaped and initialised as in the authors' mamba_ssm, so their state_dicts
    load; and as there pairs that turn are neighbours when the rank is 1, half a state apart when
    it is more. A is a softplus as in the release of the paper and in mamba_ssm 2.3; the authors
    have since tried another function there. Raises ZooError when heads or groups do not fit.
    """

    family = "ssm"
    complexity = "l"
    owns_channel = True
    paper = "Lahoti et al. 2026, arXiv:2603.15569"
    kernels = KERNELS

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 128,
        expand: PositiveInt = 2,
        head_dim: PositiveInt | None = None,
        groups: PositiveInt = 1,
        rope_fraction: Fraction = 0.5,
        rank: PositiveInt = 1,
        out_norm: bool = False,
        kernel: Literal["auto", "numba", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        self.dim, self.state, self.rank, self.groups = dim, state, rank, groups
        self.inner = expand * dim
        head_dim = head_dim or usual_head(self.inner)
        self.head_dim, self.kernel = head_dim, kernel
        self.heads = whole("head_dim", head_dim, self.inner, f"the {self.inner} channels")
        whole("groups", groups, self.heads, f"the {self.heads} heads")
        self.turning = int(state * rope_fraction) // 2  # angles, one for each pair that turns
        if state % 2 or not self.turning:
            raise zoo.ZooError(
                f"mixer.state={state}: pairs of it turn, rope_fraction of them; "
                "give an even number from 4, as mixer.state=128"
            )
        self.widths = [
            *(self.inner, self.inner),  # z, x
            *(state * groups * rank, state * groups * rank),  # B, C
            *(self.heads, self.heads, self.heads, self.turning),  # dt, A, lambda, angle
        ]
        self.in_proj = nn.Linear(dim, sum(self.widths), bias=False)
        self.dt_bias = nn.Parameter(torch.empty(self.heads))
        self.B_bias = nn.Parameter(torch.ones(self.heads, rank, state))
        self.C_bias = nn.Parameter(torch.ones(self.heads, rank, state))
        self.B_norm = nn.RMSNorm(state, eps=EPS)
        self.C_norm = nn.RMSNorm(state, eps=EPS)
        if rank > 1:
            self.mimo_x = nn.Parameter(torch.full((self.heads, rank, head_dim), 1 / rank))
            self.mimo_z = nn.Parameter(torch.ones(self.heads, rank, head_dim))
            self.mimo_o = nn.Parameter(torch.full((self.heads, rank, head_dim), 1 / rank))
        self.D = nn.Parameter(torch.ones(self.heads))
        norm = GatedNorm(self.inner, groups=self.heads, norm_before_gate=True)
        self.norm = norm if out_norm else None
        self.out_proj = nn.Linear(self.inner, dim, bias=False)
        self.reset_dynamics()

    @torch.no_grad()
    def reset_dynamics(self) -> None:
        """Step sizes log-uniform in [0.001, 0.1]."""
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
        self, u: Tensor, kernel: zoo.Kernel, state: State | None = None
    ) -> tuple[Tensor, State]:
        """One pass over (b, l, d); without a state it starts from nothing."""
        if not u.shape[1]:  # no token, which no kernel wants to know about
            return u, state or self.initial_state(len(u))
        angle_before, s, b_before, x_before = state or self.initial_state(len(u))
        z, x, b, c, dt, a, trap, angle = self.in_proj(u).split(self.widths, dim=-1)
        dt = F.softplus(dt.to(self.wide) + self.dt_bias.to(self.wide))  # (b, l, h)
        share = torch.sigmoid(trap.to(self.wide))
        log_decay = -dt * F.softplus(a.to(self.wide)).clamp(min=A_FLOOR)
        angle = turned(angle.to(self.wide), dt, angle_before)
        b = self.to_heads(b, self.B_norm, self.B_bias, angle)
        c = self.to_heads(c, self.C_norm, self.C_bias, angle)
        x = rearrange(x, "b l (h p) -> b l h p", p=self.head_dim)
        past = s, b_before, self.to_ranks(x_before[:, None], "mimo_x")[:, 0]
        inputs = self.to_ranks(x, "mimo_x")
        y, s = kernel.run(inputs, b, c, log_decay, share * dt, (1 - share) * dt, past)
        y = y + self.D.to(self.wide)[:, None] * inputs
        mixed: Tensor = self.out_proj(self.gated(y, z).to(z.dtype))
        kept = (each[:, -1].to(self.in_proj.weight.dtype) for each in (b, x))
        b_last, x_last = (each.clone(memory_format=torch.contiguous_format) for each in kept)
        return mixed, (angle[:, -1].clone(), s, b_last, x_last)

    def to_heads(self, b: Tensor, norm: nn.RMSNorm, bias: Tensor, angle: Tensor) -> Tensor:
        """(b, l, r g n) as projected to (b, l, r, h, n), turned; in the dtype that came."""
        wide = rearrange(b.to(self.wide), "b l (r g n) -> b l r g n", r=self.rank, g=self.groups)
        wide = F.rms_norm(wide, (self.state,), norm.weight.to(self.wide), EPS)
        wide = repeat(wide, "b l r g n -> b l r (g each) n", each=self.heads // self.groups)
        wide = wide + rearrange(bias.to(self.wide), "h r n -> r h n")
        return rotated(wide, angle[:, :, None], neighbours=self.rank == 1).to(b.dtype)

    def to_ranks(self, x: Tensor, name: str) -> Tensor:
        """(b, l, h, p) to (b, l, r, h, p): as it is, or by the MIMO weight of that name."""
        if self.rank == 1:
            return x[:, :, None]
        weight: Tensor = getattr(self, name).to(x.dtype)  # get_parameter refuses what stands in
        return x[:, :, None] * rearrange(weight, "h r p -> r h p")

    def gated(self, y: Tensor, z: Tensor) -> Tensor:
        """(b, l, r, h, p) and the gate (b, l, h p) to (b, l, h p)."""
        z = self.to_ranks(rearrange(z, "b l (h p) -> b l h p", p=self.head_dim), "mimo_z")
        y, z = (rearrange(each, "b l r h p -> b l r (h p)") for each in (y, z))
        y = (
            y * F.silu(z)
            if self.norm is None
            else self.norm(y, z, plain=self.kernel == "reference")
        )
        if self.rank > 1:
            y = y * rearrange(self.mimo_o.to(y.dtype), "h r p -> r (h p)")
        return y.sum(2)

    @property
    def wide(self) -> torch.dtype:
        """What the state is carried in: float32, or what the parameters have if that is more."""
        return torch.promote_types(self.in_proj.weight.dtype, torch.float32)

    def initial_state(self, batch: int) -> State:
        """Angles (b, h, turning), S (b, h, n, p); B (b, r, h, n), x (b, h, p) of the last token."""
        like, h, n, p = self.in_proj.weight, self.heads, self.state, self.head_dim
        angle = like.new_zeros(batch, h, self.turning, dtype=self.wide)
        s = like.new_zeros(batch, h, n, p, dtype=self.wide)
        return angle, s, like.new_zeros(batch, self.rank, h, n), like.new_zeros(batch, h, p)

    def state_size(self, length: int) -> int:
        n, p = self.state, self.head_dim
        return self.heads * (self.turning + n * p + self.rank * n + p)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """The projections, SSD over ``rank`` tokens for each, and what their ranks see besides.

        Other besides SSD's, by token: what B and C take in a head (norm 4, bias 1, turn 6 for a
        pair), 20 for an angle (tanh, sum, sine, cosine), 15 for a head, and by channel skip 2,
        gate 5, ranks 6, norm 4.
        """
        heads, n, p, rank = self.heads, self.state, self.head_dim, self.rank
        linear = self.dim * (sum(self.widths) + self.inner)
        besides = 2 * rank * rank * heads * (n + p)
        scan = cost(length * rank, heads, heads, n, p)
        matmul = 2 * linear + (2 * besides if rank > 1 else 0)
        vectors = 2 * rank * (5 * n + 6 * self.turning)
        other = heads * (vectors + 20 * self.turning + 15) + 17 * rank * self.inner
        if rank == 1:
            other += besides
        return zoo.Flops(
            batch * (length * matmul + scan.matmul), batch * (length * other + scan.other)
        )

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        return {name: {"weight_decay": 0.0} for name in ("dt_bias", "D", "B_bias", "C_bias")}


def turned(
    angle: Float[Tensor, "b l s"], dt: Float[Tensor, "b l h"], before: Float[Tensor, "b h s"]
) -> Float[Tensor, "b l h s"]:
    """before + pi sum of tanh(angle) dt, in [0, 2 pi).

    Summed in float64: a long sequence makes thousands of turns, of which float32 would keep no
    good fraction, nor would a sum of pi rounded to it.
    """
    halves = torch.tanh(angle)[:, :, None] * dt[..., None]
    total = before[:, None] + math.pi * halves.cumsum(1, dtype=torch.float64)
    return torch.remainder(total, 2 * math.pi).to(before.dtype)


def rotated(
    vector: Float[Tensor, "b l r h n"], angle: Float[Tensor, "b l 1 h s"], neighbours: bool
) -> Float[Tensor, "b l r h n"]:
    """The first s pairs turned, each (i, i + 1) if ``neighbours``, else (i, i + n / 2)."""
    layout = "(k two)" if neighbours else "(two k)"
    first, second = rearrange(vector, f"b l r h {layout} -> two b l r h k", two=2)
    turning = angle.shape[-1]
    cos, sin = angle.cos(), angle.sin()
    one, two = first[..., :turning], second[..., :turning]
    one, two = one * cos - two * sin, one * sin + two * cos
    pairs = (
        torch.cat([one, first[..., turning:]], -1),
        torch.cat([two, second[..., turning:]], -1),
    )
    return rearrange(list(pairs), f"two b l r h k -> b l r h {layout}")
