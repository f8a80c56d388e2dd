"""Two causal mixers as one that sees both ways."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zoo.flops import Flops
from zoo.mixer import Mixer


class Bidirectional(Mixer):
    """One mixer from the left plus another from the right, each with weights of its own.

    The sum of the two, as in the backbones of Vision Mamba (Zhu et al. 2024, arXiv:2401.09417) and
    other bidirectional state space models. A row is turned round within its ``lengths``, so that
    the padding stays on the right. It does not decode.
    """

    directions = frozenset({"bidirectional"})

    def __init__(self, ahead: Mixer, back: Mixer) -> None:
        super().__init__()
        self.ahead, self.back = ahead, back

    @property
    def kernel_ran(self) -> str:  # type: ignore[override]
        """The kernel of both."""
        return self.ahead.kernel_ran

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        turned = turn(self.back(turn(x, lengths), lengths), lengths)
        y: Tensor = self.ahead(x, lengths) + turned
        return y

    def flops(self, batch: int, length: int) -> Flops:
        return self.ahead.flops(batch, length) + self.back.flops(batch, length)

    def state_size(self, length: int) -> int:
        """Of the causal form, one mixer: this one carries none."""
        return self.ahead.state_size(length)


def turn(x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None) -> Float[Tensor, "b l d"]:
    """Every row from its last token to its first; the padding stays where it is."""
    if lengths is None:
        return x.flip(1)
    place = torch.arange(x.shape[1], device=x.device)
    end = lengths.to(x.device)[:, None]
    source = torch.where(place < end, end - 1 - place, place)
    return x.gather(1, source[..., None].expand_as(x))
