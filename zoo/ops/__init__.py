"""Operations that mixers of several packages share, each with its kernels."""

from zoo.kernel import Kernel
from zoo.ops import cuda as cuda
from zoo.ops import fused as fused
from zoo.ops.attention import ATTENTIONS as ATTENTIONS
from zoo.ops.attention import REFERENCE as REFERENCE
from zoo.ops.attention import SDPA as SDPA
from zoo.ops.attention_bias import AttentionBias as AttentionBias
from zoo.ops.attention_bias import Band as Band
from zoo.ops.attention_flash import FLASH_ATTN as FLASH_ATTN
from zoo.ops.attention_flex import FLEX as FLEX
from zoo.ops.attention_xformers import XFORMERS as XFORMERS
from zoo.ops.fft_conv import fft_conv as fft_conv
from zoo.ops.gated_scan import GATED_SCANS as GATED_SCANS
from zoo.ops.gated_scan import gated_scan as gated_scan
from zoo.ops.short_conv import SHORT_CONVS as SHORT_CONVS
from zoo.ops.short_conv import short_conv as short_conv

KERNELS: dict[str, tuple[Kernel, ...]] = {"gated_scan": GATED_SCANS, "short_conv": SHORT_CONVS}
"""Operation -> its kernels, fastest first."""
