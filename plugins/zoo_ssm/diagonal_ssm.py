"""The diagonal state space model: every state by itself, in conjugate pairs or all real."""

import math
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

import zoo
from zoo_ssm.hippo import Diagonal, diagonal
from zoo_ssm.lti import LTI, Blocks
from zoo_ssm.vandermonde import powers, vandermonde

Discretisation = Literal["zoh", "bilinear"]


class Discrete(NamedTuple):
    """x' = a x + b u and y = Re sum c x, where c counts both of a pair."""

    a: Inexact[Tensor, "d n"]
    b: Inexact[Tensor, "d n"]
    c: Inexact[Tensor, "way d n"]


class DiagonalSSM(LTI):
    """Gu, Gupta, Goel and Re 2022, arXiv:2206.11893: x' = A x + B u, y = Re C x, A diagonal.

    ``state`` real numbers a channel: state / 2 complex ones, each standing for itself and its
    conjugate, or ``state`` real ones for init "real". A = -exp(A_log) + i A_imag, a step size of
    its own per channel. A pair of numbers on a last axis is a complex one, since
    ``nn.Module.to`` has no good way with complex parameters. Raises ZooError for an odd state.
    """

    def __init__(
        self,
        channels: int,
        state: int,
        init: Diagonal,
        disc: Discretisation,
        dt_range: tuple[float, float],
        ways: int = 1,
    ) -> None:
        super().__init__()
        self.channels, self.state, self.disc, self.ways = channels, state, disc, ways
        self.paired = init != "real"
        a, b = (torch.from_numpy(each) for each in diagonal(init, state))
        shape = (channels, len(a))
        self.log_dt = nn.Parameter(log_uniform(channels, *dt_range))
        self.A_log = nn.Parameter(torch.empty(shape))
        with torch.no_grad():
            self.A_log.copy_(torch.log(-a.real))
        if self.paired:
            self.A_imag = nn.Parameter(torch.empty(shape))
            with torch.no_grad():
                self.A_imag.copy_(a.imag)
        tail = (2,) if self.paired else ()
        self.B = nn.Parameter(torch.empty(*shape, *tail))
        with torch.no_grad():
            self.B.copy_(torch.view_as_real(b) if self.paired else b)
        # a complex normal has variance 1: a half in either part
        self.C = nn.Parameter(torch.randn(ways, *shape, *tail) * (0.5**0.5 if tail else 1.0))

    def continuous(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """dt (d, 1), A (d, n), B (d, n), C (way, d, n), in float64."""
        a = -torch.exp(self.A_log.double())
        b, c = self.B.double(), self.C.double()
        if self.paired:
            a = torch.complex(a, self.A_imag.double())
            b, c = torch.view_as_complex(b), torch.view_as_complex(c) * 2
        return torch.exp(self.log_dt.double())[:, None], a, b, c

    def exact(self) -> Discrete:
        """The recurrence in float64: zero-order hold or bilinear, as section 3 of the paper."""
        dt, a, b, c = self.continuous()
        step = dt * a
        if self.disc == "zoh":
            power = torch.exp(step)
            return Discrete(power, b * dt * hold(step, power), c)
        return Discrete((1 + step / 2) / (1 - step / 2), b * dt / (1 - step / 2), c)

    def discrete(self) -> Any:
        return Discrete(*(each.to(self.dtype) for each in self.exact()))

    def taps(self, length: int) -> Float[Tensor, "way d l"]:
        a, b, c = self.exact()
        return vandermonde(b * c, a, length, self.wide)

    def advance(
        self, discrete: Any, u: Float[Tensor, "b d"], state: Inexact[Tensor, "b d n"]
    ) -> tuple[Float[Tensor, "way b d"], Inexact[Tensor, "b d n"]]:
        a, b, c = discrete
        state = a * state + b * u[..., None]
        read = (c[:, None] * state).sum(-1)
        return (read.real if self.paired else read), state

    def initial_state(self, batch: int) -> Inexact[Tensor, "b d n"]:
        like = self.A_log
        shape = (batch, *like.shape)
        return torch.zeros(shape, dtype=self.dtype, device=like.device)

    def blocks(self, size: int) -> Blocks:
        a, b, c = self.exact()
        table = powers(a, size + 1)  # (d, n, i)
        read, drive = c[0][..., None] * table[..., 1:], b[..., None] * table[..., :-1].flip(-1)
        taps = (c[0][..., None] * drive).sum(-2).real.flip(-1)
        if self.paired:
            read, drive = (
                torch.cat([read.real, -read.imag], 1),
                torch.cat([drive.real, drive.imag], 1),
            )
        far = table.to(self.dtype)

        def forward(x: Tensor, steps: int) -> Tensor:
            return self.to_real(self.from_real(x) * far[..., steps])

        read, drive, taps = (each.to(self.wide) for each in (read.mT, drive, taps))
        return Blocks(forward, read, drive, taps)

    def to_real(self, state: Inexact[Tensor, "b d n"]) -> Float[Tensor, "b d m"]:
        return torch.cat([state.real, state.imag], -1) if self.paired else state

    def from_real(self, state: Float[Tensor, "b d m"]) -> Inexact[Tensor, "b d n"]:
        return torch.complex(*state.chunk(2, -1)) if self.paired else state

    @property
    def wide(self) -> torch.dtype:
        """Of inputs, outputs and taps: float32, or what the parameters have if that is more."""
        return torch.promote_types(self.log_dt.dtype, torch.float32)

    @property
    def dtype(self) -> torch.dtype:
        """Of a state."""
        return self.wide.to_complex() if self.paired else self.wide


def hold(z: Tensor, power: Tensor) -> Tensor:
    """(exp(z) - 1) / z, which is 1 at 0, to 2e-12 in float64."""
    small = z.abs() < 1e-4
    return torch.where(small, 1 + z / 2 + z * z / 6, (power - 1) / torch.where(small, 1, z))


def log_uniform(count: int, least: float, most: float) -> Tensor:
    """The logarithms of ``count`` step sizes, uniform in [log least, log most].

    Raises ZooError when the range is empty.
    """
    if least > most:
        hint = f"try mixer.dt_max={least}"
        raise zoo.ZooError(f"mixer.dt_min={least} exceeds mixer.dt_max={most}; {hint}")
    return torch.empty(count).uniform_(math.log(least), math.log(most))
