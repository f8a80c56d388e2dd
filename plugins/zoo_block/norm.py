"""The norms a block may take."""

from typing import Literal

from torch import nn

Norm = Literal["rms", "layer"]


def build(norm: Norm, dim: int) -> nn.Module:
    """RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016), with a learned scale.

    One small eps for both: RMSNorm's own default is the precision, 0.008 in bfloat16.
    """
    return nn.RMSNorm(dim, eps=1e-5) if norm == "rms" else nn.LayerNorm(dim, eps=1e-5)
