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


def ssd(
    scan: Scan,
    x: Float[Tensor, "b l h p"],
    log_decay: Float[Tensor, "b l h"],
    b: Float[Tensor, "b l g n"],
    c: Float[Tensor, "b l g n"],
    state: Float[Tensor, "b h n p"] | None = None,
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """S_t = exp(log_decay_t) S_{t-1} + B_t x_t^T, y_t = C_t^T S_t; and the last S.

    ``log_decay`` is at most 0. Head i belongs to group i // (h / g). Computed and carried in
    float32 at least, whatever comes in and whatever autocast says; y has the dtype of x.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    if state is None:
        state = x.new_zeros(len(x), x.shape[2], b.shape[3], x.shape[3], dtype=wide)
    inputs = (tensor.to(wide) for tensor in (x, log_decay, b, c, state))
    device = x.device.type
    mixed = torch.amp.is_autocast_available(device)  # not on meta
    with torch.autocast(device, enabled=False) if mixed else nullcontext():
        y, last = scan(*inputs)
    return y.to(x.dtype), last


KERNELS = (
    zoo.Kernel("chunked", partial(ssd, chunked)),
    zoo.Kernel("reference", partial(ssd, reference)),
)
"""Each runs as ``run(x, log_decay, b, c, state=None) -> (y, last)``."""
