"""A causal depthwise convolution over a few tokens, as most modern mixers put before their scan."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from zoo.kernel import Kernel, pick
from zoo.ops import cuda, fused

LONGEST = 4
"""The widest filter that causal-conv1d takes."""


def short_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d w"],
    bias: Float[Tensor, " d"] | None = None,
    window: Float[Tensor, "b before d"] | None = None,
    *,
    silu: bool = False,
    kernel: str = "auto",
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b before d"]]:
    """y_t = bias + sum_i weight_i x_{t-w+1+i}, then SiLU if asked; and the last w - 1 inputs.

    ``window`` is what such a call returned before, from which this one goes on; nothing came
    before when None. y has the dtype of x. Differentiable in all tensors; by the kernel "torch" as
    often and in whichever mode one likes, where the others give first derivatives backwards.
    """
    before = weight.shape[1] - 1
    if window is None:
        window = x.new_zeros(len(x), before, x.shape[2])
    padded = torch.cat([window.to(x.dtype), x], dim=1)
    after = padded[:, padded.shape[1] - before :].clone()  # lets go of the rest
    y = pick(SHORT_CONVS, kernel, x).run(padded, weight, bias, silu)
    return y, after


def portable(
    padded: Float[Tensor, "b padded d"],
    weight: Float[Tensor, "d w"],
    bias: Float[Tensor, " d"] | None,
    silu: bool,
) -> Float[Tensor, "b l d"]:
    """By torch's convolution, which wants the length last."""
    dtype = padded.dtype
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    y = F.conv1d(padded.transpose(1, 2), weight[:, None], bias, groups=len(weight))
    return (F.silu(y) if silu else y).transpose(1, 2)


def causal_conv1d(
    padded: Float[Tensor, "b padded d"],
    weight: Float[Tensor, "d w"],
    bias: Float[Tensor, " d"] | None,
    silu: bool,
) -> Float[Tensor, "b l d"]:
    """By the CUDA kernel of Mamba's authors; what it does not take goes the portable way."""
    width, channels = weight.shape[1], weight.shape[0]
    if not 2 <= width <= LONGEST or channels % 8:
        return portable(padded, weight, bias, silu)
    from causal_conv1d import causal_conv1d_fn

    dtype = padded.dtype
    bias = None if bias is None else bias.to(dtype)
    last = padded.transpose(1, 2)  # length last in name, channels last in memory
    y: Tensor = causal_conv1d_fn(last, weight.to(dtype), bias, activation="silu" if silu else None)
    return y.transpose(1, 2)[:, width - 1 :]


def numba(
    padded: Float[Tensor, "b padded d"],
    weight: Float[Tensor, "d w"],
    bias: Float[Tensor, " d"] | None,
    silu: bool,
) -> Float[Tensor, "b l d"]:
    """In one compiled pass; float32 inside, or float64 where that came."""
    dtype = padded.dtype
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    wide = torch.promote_types(dtype, torch.float32)
    from zoo.ops.short_conv_numba import conv  # it needs numba

    y: Tensor = conv(padded.to(wide), weight.to(wide), bias.to(wide), silu)
    return y.to(dtype)


missing = cuda.package(
    "causal_conv1d",
    "causal_conv1d",
    install="pip install causal-conv1d --no-build-isolation",
)
refuses = cuda.only("causal_conv1d")
SHORT_CONVS = (
    Kernel("causal_conv1d", causal_conv1d, missing, refuses),
    Kernel("numba", numba, fused.missing, fused.refuses),
    Kernel("torch", portable),
)
