"""S4D: a diagonal state space model, trained as a convolution and decoded as a recurrence."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

import zoo
from zoo_ssm.diagonal_ssm import DiagonalSSM
from zoo_ssm.lti_layer import Layer
from zoo_ssm.vandermonde import split


class S4D(Layer):
    """Gu, Gupta, Goel and Re 2022, arXiv:2206.11893, with the authors' layer around it.

    GLU(W gelu(SSM(x) + D x)). ``state`` real numbers a channel, of which complex conjugates share
    one pair; ``init`` is one of the paper's starts, ``disc`` zero-order hold or bilinear; step
    sizes start log-uniform in [dt_min, dt_max]. A, B, C and dt of every channel are its own and
    all trained. Raises ZooError for an odd state (but for init=real) or an empty range of steps.
    """

    paper = "Gu, Gupta, Goel and Re 2022, arXiv:2206.11893"

    def __init__(
        self,
        dim: int,
        *,
        state: PositiveInt = 64,
        init: Literal["lin", "inv", "legs", "real"] = "lin",
        disc: Literal["zoh", "bilinear"] = "zoh",
        dt_min: PositiveFloat = 0.001,
        dt_max: PositiveFloat = 0.1,
        kernel: Literal["auto", "convolution", "reference"] = "auto",
        causal: bool = True,
    ) -> None:
        ways = 1 if causal else 2
        super().__init__(dim, DiagonalSSM(dim, state, init, disc, (dt_min, dt_max), ways))
        self.state, self.kernel = state, kernel
        self.paired = init != "real"

    def state_size(self, length: int) -> int:
        return self.dim * self.state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """The layer and its taps: a product of two tables, of powers at 6 a complex product."""
        inner, outer = split(length)
        ways, pair = self.system.ways, 2 if self.paired else 1
        taps = 2 * self.dim * ways * inner * outer * self.state
        numbers = self.dim * self.state // pair * (inner + outer + ways * outer)
        tables = zoo.Flops(taps, numbers * (6 if self.paired else 1))
        return self.layer_flops(batch, length) + tables
