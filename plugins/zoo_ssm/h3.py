"""H3: a shift and a diagonal state space model, with the products of attention between them."""

from collections.abc import Mapping
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

import zoo
from zoo_ssm.diagonal_ssm import DiagonalSSM
from zoo_ssm.lti import KERNELS
from zoo_ssm.vandermonde import split

State = tuple[Tensor, Tensor]


class H3(zoo.Mixer):
    """Fu, Dao, Saab, Thomas, Rudra and Re 2022, arXiv:2212.14052: Q * SSM(shift(K) * V).

    The shift model is a learned filter over the last ``state`` tokens, started as a convolution:
    its B stays the first unit vector, from where the authors' code trains it. The other is
    S4D-Lin, bilinear, with ``state`` real numbers and one SSM a head. Both skip, as there:
    shift(k) + D k, SSM(kv) + D kv. In heads of ``head_dim`` e > 1, K V is the outer product
    (e, e), and Q contracts it as in linear attention; the output stands as (e, heads), as there.
    Raises ZooError when ``head_dim`` does not divide dim, ``state`` is odd or the range of steps
    is empty.
    """

    family = "ssm"
    complexity = "l log l"
    owns_channel = True
    paper = "Fu, Dao, Saab, Thomas, Rudra and Re 2022, arXiv:2212.14052"
    kernels = KERNELS

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 64,
        head_dim: PositiveInt = 1,
        dt_min: PositiveFloat = 0.001,
        dt_max: PositiveFloat = 0.1,
        kernel: Literal["auto", "convolution", "reference"] = "auto",
    ) -> None:
        super().__init__()
        if dim % head_dim:
            near = max(e for e in range(1, head_dim) if dim % e == 0)
            hint = f"try mixer.head_dim={near}"
            raise zoo.ZooError(f"mixer.head_dim={head_dim} does not divide dim={dim}; {hint}")
        self.dim, self.state, self.head_dim, self.kernel = dim, state, head_dim, kernel
        self.heads = dim // head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.shift = nn.Parameter(torch.empty(dim, state).uniform_(-1, 1) * state**-0.5)
        self.shift_D = nn.Parameter(torch.randn(dim))
        self.system = DiagonalSSM(self.heads, state, "lin", "bilinear", (dt_min, dt_max))
        self.D = nn.Parameter(torch.randn(self.heads))
        self.output_linear = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        kernel = self.pick(x)
        if lengths is not None:  # one transform takes a row with its padding
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        q, k, v = self.project(x)
        pairs = self.pairs(self.shifted(k, kernel)[0], v)
        return self.finish(kernel.run(self.system, pairs), pairs, q, x)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: State | None = None
    ) -> tuple[Float[Tensor, "b l d"], State]:
        """``forward`` after the past in ``state``, and the state from which ``step`` goes on."""
        return self.go_on(x, self.pick(x), state or self.initial_state(len(x)))

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        y, state = self.go_on(x[:, None], KERNELS[-1], state)
        return y[:, 0], state

    def go_on(self, x: Tensor, kernel: zoo.Kernel, state: State) -> tuple[Tensor, State]:
        """Tokens (b, l, d) after the past in ``state``."""
        q, k, v = self.project(x)
        k, window = self.shifted(k, kernel, state[0])
        pairs = self.pairs(k, v)
        y, h = kernel.run(self.system, pairs, state[1].flatten(0, 2))
        return self.finish(y, pairs, q, x), (window, h.view_as(state[1]))

    def project(self, x: Tensor) -> list[Tensor]:
        """q, k and v (b, l, d), wide."""
        return [proj(x).to(self.wide) for proj in (self.q_proj, self.k_proj, self.v_proj)]

    def shifted(
        self, k: Tensor, kernel: zoo.Kernel, window: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The shift model: what it makes of k (b, l, d) after ``window``, and the next window.

        Its A moves the state down by one and its B writes on top: the state is the last inputs,
        and C are the taps of a filter over them.
        """
        before, taps = self.state - 1, self.shift.to(self.wide)
        if window is None:
            window = k.new_zeros(len(k), before, self.dim)
        past = torch.cat([window, k], 1)
        if kernel is KERNELS[-1] and k.shape[1]:
            y = (past.unfold(1, self.state, 1) * taps.flip(-1)).sum(-1)
        else:
            y = zoo.ops.fft_conv(past, taps)[:, before:]
        after = past[:, k.shape[1] :].clone()  # lets go of the rest
        return torch.addcmul(y, k, self.shift_D.to(self.wide)), after

    def pairs(self, k: Tensor, v: Tensor) -> Float[Tensor, "bee l h"]:
        """Outer products of every head, each pair a row of its own."""
        k = rearrange(k, "b l (h i) -> b i 1 l h", h=self.heads)
        v = rearrange(v, "b l (h j) -> b 1 j l h", h=self.heads)
        return (k * v).flatten(0, 2)

    def finish(self, y: Tensor, pairs: Tensor, q: Tensor, x: Tensor) -> Tensor:
        """The skip, the query and the mixing of channels; back in the dtype of x."""
        y = torch.addcmul(y, pairs, self.D.to(y.dtype))
        y = rearrange(y, "(b i j) l h -> b i j l h", i=self.head_dim, j=self.head_dim)
        read = (y * rearrange(q, "b l (h i) -> b i 1 l h", h=self.heads)).sum(1)
        mixed: Tensor = self.output_linear(rearrange(read, "b j l h -> b l (j h)").to(x.dtype))
        return mixed

    @property
    def wide(self) -> torch.dtype:
        """What all between the projections is in: float32, or the parameters' if that is more."""
        return self.system.wide

    def initial_state(self, batch: int) -> State:
        """The last keys (b, state - 1, d); the SSM's (b, e, e, heads, state / 2), complex."""
        window = self.shift.new_zeros(batch, self.state - 1, self.dim, dtype=self.wide)
        h = self.system.initial_state(batch * self.head_dim**2)
        return window, h.view(batch, self.head_dim, self.head_dim, *h.shape[1:])

    def state_size(self, length: int) -> int:
        return self.dim * (self.state - 1) + self.dim * self.head_dim * self.state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """Products: the four projections and the SSM's taps, from a product of two tables.

        Other: powers for the tables at 6 a product; 2.5 n log2 n a transform of n = l + state or
        2 l numbers; 6 for each product of spectra; both skips 4, K V 1, Q and its sum 2.
        """
        inner, outer = split(length)
        tokens, rows = batch * length * self.dim, self.dim * self.head_dim
        matmul = 4 * 2 * tokens * self.dim + 2 * self.heads * inner * outer * self.state
        tables = 3 * self.heads * self.state * (inner + 2 * outer)
        other = tables + tokens * 2 + tokens * self.head_dim * 5
        for count, size in ((self.dim, length + self.state), (rows, 2 * length)):
            other += count * batch * (2 * int(2.5 * size * size.bit_length()) + 3 * size)
        return zoo.Flops(matmul, other)

    def parameter_settings(self) -> Mapping[str, Mapping[str, float]]:
        """A, B and dt learn at 1e-3 and nothing of them decays, as the authors have it."""
        own = {"lr": 1e-3, "weight_decay": 0.0}
        return {f"system.{name}": own for name, _ in self.system.named_parameters() if name != "C"}
