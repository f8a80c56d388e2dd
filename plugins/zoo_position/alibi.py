"""A penalty that grows with the distance, steeper in some heads than in others."""

from math import log2

import torch
from jaxtyping import Float, Int
from torch import Tensor

import zoo


class ALiBi(zoo.RelativePosition):
    """-m_h |i - j| is added to the scores of head h (Press et al. 2021).

    With a power of two heads, m_h = 2^(-8h/H), h = 1 .. H. With another number, as the authors'
    code has it: those of the largest power of two below, then every second one of twice that power,
    from the first. Both ways alike in a bidirectional mixer. Nothing is learned and no length is
    too long.
    """

    paper = "Press et al. 2021, arXiv:2108.12409"

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.register_buffer("exponent", torch.tensor(exponents(heads)), persistent=False)
        self.exponent: Tensor

    @property
    def slopes(self) -> Tensor:  # type: ignore[override]
        """(h,), in at least float32; the exponents are few bits long, and exact in bf16 too."""
        wide = torch.promote_types(self.exponent.dtype, torch.float32)
        return torch.exp2(-self.exponent.to(wide))

    def bias(self, distance: Int[Tensor, "..."]) -> Float[Tensor, "h ..."]:
        slopes = self.slopes
        return -slopes.view(-1, *[1] * distance.ndim) * distance.abs().to(slopes.dtype)


def exponents(heads: int) -> list[float]:
    """-log2 of the slopes."""
    power = 2 ** int(log2(heads))
    first = [8 * h / power for h in range(1, power + 1)]
    return first + [4 * h / power for h in range(1, 2 * power, 2)][: heads - power]
