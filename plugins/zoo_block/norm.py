"""The norms a block may take."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

Norm = Literal["rms", "layer", "batch"]
EPS = 1e-5
"""One small eps for all: RMSNorm's own default is the precision, 0.008 in bfloat16."""


class BatchNorm(nn.BatchNorm1d):
    """Each feature normed over all tokens of the batch, in training; by their running mean and
    variance after it, so that a token's norm then depends on nothing else (Ioffe and Szegedy 2015,
    arXiv:1502.03167). Padding is counted in neither; a batch of one token, which has no variance,
    is normed by what is remembered.
    """

    def forward(
        self, x: Float[Tensor, "... d"], real: Bool[Tensor, "b l"] | None = None
    ) -> Float[Tensor, "... d"]:
        if real is None or not self.training:
            return self._tokens(x.flatten(0, -2)).view(x.shape)
        return x.masked_scatter(real[..., None], self._tokens(x[real]))

    def _tokens(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        if self.training and len(x) < 2:
            memory = (self.running_mean, self.running_var)
            return F.batch_norm(x, *memory, self.weight, self.bias, eps=self.eps)
        normed: Tensor = super().forward(x)
        return normed


def build(norm: Norm, dim: int) -> nn.Module:
    """RMSNorm (Zhang and Sennrich 2019), LayerNorm (Ba et al. 2016) or BatchNorm, with a learned
    scale.
    """
    if norm == "batch":
        return BatchNorm(dim, eps=EPS)
    return nn.RMSNorm(dim, eps=EPS) if norm == "rms" else nn.LayerNorm(dim, eps=EPS)


def normed(norm: nn.Module, x: Tensor, real: Tensor | None) -> Tensor:
    """``norm(x)``, told what is no padding if it asks."""
    y: Tensor = norm(x, real) if isinstance(norm, BatchNorm) else norm(x)
    return y
