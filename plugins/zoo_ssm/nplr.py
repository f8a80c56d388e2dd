"""The normal plus low-rank state space model of S4."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor, nn

import zoo
from zoo_ssm.cauchy import pole_sums
from zoo_ssm.diagonal_ssm import DiagonalSSM
from zoo_ssm.hippo import dplr
from zoo_ssm.lti import KERNELS as PORTABLE
from zoo_ssm.lti import Blocks, in_blocks, kernel

Sums = Callable[[Tensor, Tensor, Tensor], Tensor]
PAIR = 2.0
"""A sum over half the states counts twice its real part."""


class Bilinear(NamedTuple):
    """(I - M) x' = (I + M) x + b u with M = diag(mu) - p p^*, in O(n): p^* x is 2 Re(conj(p) x)."""

    plus: Complex[Tensor, "d n"]
    """1 + mu."""
    minus: Complex[Tensor, "d n"]
    """1 / (1 - mu)."""
    p: Complex[Tensor, "d n"]
    q: Complex[Tensor, "d n"]
    """conj(p) minus / (1 + p^* minus p), by Woodbury."""
    b: Complex[Tensor, "d n"]
    c: Complex[Tensor, "way d n"]


class NPLR(DiagonalSSM):
    """Gu, Goel and Re 2021, arXiv:2111.00396: A = diag(Lambda) - P P^*, starting as HiPPO-LegS.

    Discretised by the bilinear rule. The taps come from their generating function
    sum_i z^i C A^i B, which is a rational function of z: Cauchy sums over the poles Lambda, joined
    by Woodbury (section 3.2 of the paper, appendix C.3). The paper takes z on the unit circle,
    where the sum must be cut at the length, and so trains C (I - A^l) for one fixed l. Here z has
    a modulus r < 1 so that r^N is negligible (Abate and Whitt 1992, "Numerical inversion of
    probability generating functions"): C is C, any length gives the same taps, no power of A is
    needed, and float64 keeps what dividing by r^i costs.
    """

    def __init__(
        self, channels: int, state: int, dt_range: tuple[float, float], ways: int = 1
    ) -> None:
        super().__init__(channels, state, "legs", "bilinear", dt_range, ways)
        p = torch.view_as_real(torch.from_numpy(dplr(state)[1]))
        self.P = nn.Parameter(torch.empty(channels, *p.shape))
        with torch.no_grad():
            self.P.copy_(p)

    def low_rank(self) -> Complex[Tensor, "d n"]:
        """p = sqrt(dt / 2) P, where the root has a slope even if dt is so small that it is 0."""
        root = torch.exp(self.log_dt.double() / 2)[:, None] / math.sqrt(2)
        return torch.view_as_complex(self.P.double()) * root

    def taps(self, length: int, sums: Sums = pole_sums) -> Float[Tensor, "way d l"]:
        dt, a, b, c = self.continuous()
        c, p, mu = c / PAIR, self.low_rank(), dt * a / 2
        size, radius = self.circle(length)
        turn = torch.arange(size // 2 + 1, dtype=torch.float64, device=mu.device) / size
        z = torch.polar(torch.full_like(turn, radius), -2 * math.pi * turn)
        left, right = torch.cat([c, p.conj()[None]]), torch.stack([b * dt, p])
        weight = rearrange(left[:, None] * right, "left right d n -> d (left right) n")
        every = sums(weight, mu, (1 - z) / (1 + z))
        every = rearrange(every, "d (left right) f -> left right d f", right=2)
        cb, cp, pb, pp = every[:-1, 0], every[:-1, 1], every[-1, 0], every[-1, 1]
        spectrum = (cb - cp * (pb / (1 + pp))) / (1 + z)
        grown = torch.fft.irfft(spectrum, n=size)[..., :length]
        shrink = radius ** -torch.arange(length, dtype=torch.float64, device=mu.device)
        taps: Tensor = grown * shrink
        return taps.to(self.wide)

    def circle(self, length: int) -> tuple[int, float]:
        """How many points z, and their modulus.

        Taps from N on come back as r^N of themselves, and rounding grows by r^-l. With N = l both
        are 1e-8, enough for float32; with N = 2 l they are 1e-11.
        """
        double = self.wide == torch.float64
        least = 2 * length if double else length
        unit = 1 << max(1, least.bit_length() - 5)  # a multiple of it transforms fast
        size = -(-least // unit) * unit
        return size, (1e-11 if double else 1e-8) ** (1 / size)

    def discrete(self) -> Bilinear:
        return Bilinear(*(each.to(self.dtype) for each in self.fine()))

    def fine(self) -> Bilinear:
        """The recurrence in float64."""
        dt, a, b, c = self.continuous()
        p, mu = self.low_rank(), dt * a / 2
        minus = 1 / (1 - mu)
        through = p.conj() * minus
        q = through / (1 + PAIR * (through * p).real.sum(-1, keepdim=True))
        return Bilinear(1 + mu, minus, p, q, dt * b, c)

    def advance(
        self, discrete: Any, u: Float[Tensor, "b d"], state: Complex[Tensor, "b d n"]
    ) -> tuple[Float[Tensor, "way b d"], Complex[Tensor, "b d n"]]:
        plus, minus, p, q, b, c = discrete
        along = PAIR * (p.conj() * state).real.sum(-1, keepdim=True)
        ahead = plus * state - p * along + b * u[..., None]
        state = minus * (ahead - p * (PAIR * (q * ahead).real.sum(-1, keepdim=True)))
        return (c[:, None] * state).sum(-1).real, state

    def blocks(self, size: int) -> Blocks:
        a, b, c = self.dense()
        squares, drive, read = [a], b[..., None], (c[:, None] @ a)
        while (have := drive.shape[-1]) < size:
            square = squares[-1]
            drive = torch.cat([drive, square @ drive], -1)
            read = torch.cat([read, read @ square], 1)
            squares.append(square @ square)
            assert 2 * have == drive.shape[-1]

        def forward(x: Tensor, steps: int) -> Tensor:
            for bit, square in enumerate(squares):
                if steps >> bit & 1:
                    x = torch.einsum("dij,bdj->bdi", square, x)
            return x

        taps = (c[:, None] @ drive)[:, 0]
        return Blocks(forward, read, drive.flip(-1), taps)

    def dense(self) -> tuple[Tensor, Tensor, Tensor]:
        """A (d, n, n), B and C (d, n) on real states: what one step makes of every unit vector."""
        fine, n, d = self.fine(), self.state, self.channels
        unit = torch.eye(n, dtype=torch.float64, device=self.log_dt.device)
        units = self.from_real(unit[:, None].expand(n, d, n))
        a = self.to_real(self.advance(fine, unit.new_zeros(n, d), units)[1])
        b = self.to_real(self.advance(fine, unit.new_ones(1, d), torch.zeros_like(units[:1]))[1])
        c = torch.cat([fine.c[0].real, -fine.c[0].imag], -1)
        return a.permute(1, 2, 0).to(self.wide), b[0].to(self.wide), c.to(self.wide)


def compiled(system: Any, u: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
    """``convolution`` with the sums over poles in one compiled pass."""
    from zoo_ssm.cauchy_numba import pole_sums  # it needs numba

    y: Tensor = zoo.ops.fft_conv(u, *system.taps(u.shape[1], pole_sums))
    return y


KERNELS = (
    kernel(
        "numba",
        compiled,
        in_blocks,
        missing=zoo.ops.fused.missing,
        refuses=zoo.ops.fused.refuses,
    ),
    *PORTABLE,
)
