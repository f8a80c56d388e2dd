"""Operations that mixers of several packages share, each with its kernels."""

from zoo.ops import fused as fused
from zoo.ops.short_conv import short_conv as short_conv
