"""S4: HiPPO's memory as a normal plus low-rank system, trained as a convolution."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

import zoo
from zoo_ssm.lti_layer import Layer
from zoo_ssm.nplr import KERNELS, NPLR


class S4(Layer):
    """Gu, Goel and Re 2021, arXiv:2111.00396, with the authors' layer around it.

    GLU(W gelu(SSM(x) + D x)), the SSM starting as HiPPO-LegS with ``state`` real numbers a
    channel and step sizes log-uniform in [dt_min, dt_max]. Lambda, P, B, C and dt of every
    channel are its own and all trained. Raises ZooError for an odd state or an empty range.
    """

    paper = "Gu, Goel and Re 2021, arXiv:2111.00396"
    kernels = KERNELS
    system: NPLR

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 64,
        dt_min: PositiveFloat = 0.001,
        dt_max: PositiveFloat = 0.1,
        kernel: Literal["auto", "numba", "convolution", "reference"] = "auto",
        causal: bool = True,
    ) -> None:
        super().__init__(dim, NPLR(dim, state, (dt_min, dt_max), 1 if causal else 2))
        self.state, self.kernel = state, kernel

    def state_size(self, length: int) -> int:
        return self.dim * self.state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """The layer and its taps.

        At each of N / 2 + 1 points, for each channel: the products of 2 (ways + 1) weights with
        the quotients, both parts of them; 13 for each of n / 2 quotients; 8 a sum and 30 a way
        for Woodbury; and the transform back.
        """
        size = self.system.circle(length)[0]
        points, sums = self.dim * (size // 2 + 1), 2 * (self.system.ways + 1)
        matmul = 2 * points * 2 * (2 * sums) * (self.state // 2)
        other = points * (13 * (self.state // 2) + 8 * sums + 30 * self.system.ways)
        transform = int(2.5 * size * size.bit_length()) * self.dim * self.system.ways
        return self.layer_flops(batch, length) + zoo.Flops(matmul, other + transform)
