"""Attention by the flash-attn 2 package: windows and ALiBi slopes inside the kernel."""

import torch
from torch import Tensor

from zoo.kernel import Kernel
from zoo.ops import cuda
from zoo.ops.attention_bias import AttentionBias
from zoo.ops.attention_shapes import level
from zoo.position import RelativePosition

WIDEST = 256


def flash_attn(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """Fewer queries than keys are the last ones, as here; a window counts both of its ends."""
    from flash_attn import flash_attn_func

    scale, width = q.shape[-1] ** -0.5, v.shape[-1]
    slopes = bias.position.slopes if isinstance(bias.position, RelativePosition) else None
    y: Tensor = flash_attn_func(
        *(z.transpose(1, 2) for z in level(q, k, v)),
        softmax_scale=scale,
        causal=bias.causal,
        window_size=(-1, -1) if bias.band is None else tuple(bias.band.within(k.shape[2])),
        alibi_slopes=None if slopes is None else slopes.detach().to(q.device, torch.float32),
    )
    return y[..., :width].transpose(1, 2)


def refuses(q: Tensor, bias: AttentionBias | None = None) -> str | None:
    """Its kernels are for half precision on Ampere and later; what else can be added is fixed."""
    if q.device.type != "cuda":
        return f"flash_attn needs a CUDA device, not {q.device.type}"
    if q.dtype not in (torch.float16, torch.bfloat16):
        return f"flash_attn takes float16 and bfloat16, not {q.dtype}; try precision=bf16"
    if torch.cuda.get_device_capability(q.device) < (8, 0):
        return "flash_attn needs compute capability 8.0 (A100) or later"
    if q.shape[-1] > WIDEST:
        return f"flash_attn takes heads up to {WIDEST} wide, not {q.shape[-1]}"
    return None if bias is None else refuses_bias(bias)


def refuses_bias(bias: AttentionBias) -> str | None:
    """Why its interface cannot say what is to be added to the scores."""
    if bias.lengths is not None and not bias.causal:
        return "flash_attn cannot hide the padding of a bidirectional batch"
    if bias.sinks is not None:
        return "flash_attn 2 has no sinks"
    if bias.position is None:
        return None
    slopes = bias.position.slopes if isinstance(bias.position, RelativePosition) else None
    if slopes is None:
        return f"of biases flash_attn takes ALiBi's slopes only, not {type(bias.position).__name__}"
    if slopes.requires_grad:
        return "flash_attn gives slopes no gradient"
    return None


FLASH_ATTN = Kernel(
    "flash_attn",
    flash_attn,
    missing=cuda.on_a_gpu(
        cuda.package("flash_attn", "flash_attn", install="pip install 'mixer-zoo[flash]'")
    ),
    refuses=refuses,
)
