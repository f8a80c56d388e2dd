"""State space duality (SSD), the inner operation of Mamba-2 and Mamba-3, and its kernels."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

import zoo
from zoo_ssm.ssd_chunked import chunked
from zoo_ssm.ssd_reference import reference

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Dressed = Callable[..., tuple[Tensor, Tensor]]


def ssd(
    run: Dressed,
    x: Float[Tensor, "b l h p"],
    log_decay: Float[Tensor, "b l h"],
    b: Float[Tensor, "b l g n"],
    c: Float[Tensor, "b l g n"],
    state: Float[Tensor, "b h n p"] | None = None,
    *,
    scale: Float[Tensor, "b l h"] | None = None,
    skip: Float[Tensor, " h"] | None = None,
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """S_t = exp(log_decay_t) S_{t-1} + B_t scale_t x_t^T, y_t = C_t^T S_t + skip x_t; the last S.

    ``log_decay`` is finite and at most 0; ``scale`` is 1 and ``skip`` 0 where there is none. Head i
    belongs to group i // (h / g). Computed and carried in float32 at least, whatever comes in and
    whatever autocast says; y has the dtype of x.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    if state is None:
        state = x.new_zeros(len(x), x.shape[2], b.shape[3], x.shape[3], dtype=wide)
    tensors = (x, scale, log_decay, b, c, skip, state)
    inputs = (None if tensor is None else tensor.to(wide) for tensor in tensors)
    device = x.device.type
    mixed = torch.amp.is_autocast_available(device)  # not on meta
    with torch.autocast(device, enabled=False) if mixed else nullcontext():
        y, last = run(*inputs)
    return y.to(x.dtype), last


def dressed(
    scan: Scan,
    x: Tensor,
    scale: Tensor | None,
    log_decay: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """A scan that knows neither scale nor skip."""
    y, last = scan(x if scale is None else x * scale[..., None], log_decay, b, c, state)
    return y if skip is None else torch.addcmul(y, x, skip[:, None]), last


def compiled(
    x: Tensor,
    scale: Tensor | None,
    log_decay: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """By the loops that Numba compiles, where scale and skip cost nothing."""
    from zoo_ssm.ssd_compiled import ssd as operator  # numba may be missing

    scale = torch.ones_like(log_decay) if scale is None else scale
    skip = x.new_zeros(x.shape[2]) if skip is None else skip
    # here rather than inside, where it would be done again for the backward pass
    x, b, c = x.contiguous(), b.contiguous(), c.contiguous()
    y, last, _ = operator(x, scale, log_decay, b, c, skip, state)
    return y, last


KERNELS = (
    zoo.Kernel("numba", partial(ssd, compiled), zoo.ops.fused.missing, zoo.ops.fused.refuses),
    zoo.Kernel("chunked", partial(ssd, partial(dressed, chunked))),
    zoo.Kernel("reference", partial(ssd, partial(dressed, reference))),
)
"""Each runs as ``run(x, log_decay, b, c, state=None, *, scale=None, skip=None) -> (y, last)``."""
