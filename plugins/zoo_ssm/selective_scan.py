"""Mamba's inner operation, from raw step sizes to gated outputs, and the kernels that run it."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

import zoo
from zoo_ssm.selective_scan_chunked import chunked
from zoo_ssm.selective_scan_reference import reference
from zoo_ssm.selective_scan_triton import TRITON

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
LARGEST_STATE = 256
"""The most numbers per channel that the CUDA kernel carries."""


def selective_scan(
    scan: Scan,
    u: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    a: Float[Tensor, "d n"],
    b: Float[Tensor, "b l n"],
    c: Float[Tensor, "b l n"],
    skip: Float[Tensor, " d"],
    z: Float[Tensor, "b l d"],
    dt_bias: Float[Tensor, " d"],
    state: Float[Tensor, "b d n"] | None = None,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """(scan(u, softplus(dt + dt_bias), ...) + skip u) silu(z), and the last state.

    Computed and carried in float32 at least, whatever comes in and whatever autocast says; y has
    the dtype of u.
    """
    wide = torch.promote_types(u.dtype, torch.float32)
    x, dt, a, b, c, skip, z, dt_bias = (
        tensor.to(wide) for tensor in (u, dt, a, b, c, skip, z, dt_bias)
    )
    if state is None:
        state = x.new_zeros(len(x), *a.shape)
    y, last = scan(x, F.softplus(dt + dt_bias), a, b, c, state.to(wide))
    return (torch.addcmul(y, x, skip) * F.silu(z)).to(u.dtype), last


def mamba_ssm(
    u: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    a: Float[Tensor, "d n"],
    b: Float[Tensor, "b l n"],
    c: Float[Tensor, "b l n"],
    skip: Float[Tensor, " d"],
    z: Float[Tensor, "b l d"],
    dt_bias: Float[Tensor, " d"],
    state: Float[Tensor, "b d n"] | None = None,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """The same by the authors' fused CUDA kernel.

    It starts from nothing, so that given a ``state`` another kernel does the work; and its last
    state has no gradient. It wants length last, one dtype for all that has a length and float32
    for what has none.
    """
    if state is not None:
        y, last = with_state(u).run(u, dt, a, b, c, skip, z, dt_bias, state)
        return y, last
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    along = (rearrange(x.to(u.dtype), "b l d -> b d l").contiguous() for x in (u, dt, b, c, z))
    u, dt, b, c, z = along
    a, skip, dt_bias = a.float(), skip.float(), dt_bias.float()
    y, last = selective_scan_fn(
        u, dt, a, b, c, skip, z=z, delta_bias=dt_bias, delta_softplus=True, return_last_state=True
    )
    return rearrange(y, "b d l -> b l d"), last


def numba(
    u: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    a: Float[Tensor, "d n"],
    b: Float[Tensor, "b l n"],
    c: Float[Tensor, "b l n"],
    skip: Float[Tensor, " d"],
    z: Float[Tensor, "b l d"],
    dt_bias: Float[Tensor, " d"],
    state: Float[Tensor, "b d n"] | None = None,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """The same in one compiled pass; float32 inside, or float64 where that came.

    One token without gradients, as in decoding, has a pass of its own.
    """
    wide = torch.promote_types(u.dtype, torch.float32)
    if state is None:
        state = u.new_zeros(len(u), *a.shape)
    from zoo_ssm.selective_scan_compiled import advance, scan  # they need numba

    x, dt, a, b, c, skip, z, dt_bias, state = (
        tensor.to(wide) for tensor in (u, dt, a, b, c, skip, z, dt_bias, state)
    )
    if u.shape[1] == 1 and not torch.is_grad_enabled():
        x, dt, b, c, z = (tensor[:, 0] for tensor in (x, dt, b, c, z))
        y, last = advance(x, dt, a, b, c, skip, z, dt_bias, state)
        return y[:, None].to(u.dtype), last
    y, last, _ = scan(x, dt, a, b, c, skip, z, dt_bias, state)
    return y.to(u.dtype), last


missing = zoo.ops.cuda.package(
    "mamba-ssm's selective_scan_cuda",
    "selective_scan_cuda",
    "mamba_ssm.ops.selective_scan_interface",
    install="MAMBA_KEEP_CUDA_BUILD=TRUE pip install mamba-ssm --no-build-isolation",
)
refuses = zoo.ops.cuda.only("mamba_ssm")
KERNELS = (
    zoo.Kernel("mamba_ssm", mamba_ssm, missing, refuses),
    TRITON,
    zoo.Kernel("numba", numba, zoo.ops.fused.missing, zoo.ops.fused.refuses),
    zoo.Kernel("chunked", partial(selective_scan, chunked), refuses=zoo.ops.fused.no_tangents),
    zoo.Kernel("reference", partial(selective_scan, reference)),
)


def with_state(x: Tensor) -> zoo.Kernel:
    """The fastest kernel here that starts from any state and gives gradients to the last one."""
    return next(kernel for kernel in KERNELS[1:] if kernel.reason(x) is None)
