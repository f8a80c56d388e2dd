"""The selective scan by a Triton kernel of ours: for CUDA machines without mamba-ssm's."""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo_ssm.selective_scan_chunked import chunked

TILE = 16
"""Tokens at once; the states before each tile are kept for the backward pass."""
LARGEST = 32
"""Numbers per channel beyond which a tile fits no registers."""
Grads = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def selective_scan(
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
    """What the portable kernels compute, in float32 whatever comes in; y has the dtype of u.

    Differentiable in everything, the first and the last state too. More than 32 numbers per
    channel go the portable way.
    """
    if a.shape[1] > LARGEST:
        from zoo_ssm.selective_scan import selective_scan as portable  # which imports this module

        return portable(chunked, u, dt, a, b, c, skip, z, dt_bias, state)
    first = u.new_zeros(len(u), *a.shape, dtype=torch.float32) if state is None else state
    first = first.float().transpose(1, 2).contiguous()
    wide = (tensor.float().contiguous() for tensor in (a.t(), skip, dt_bias))
    rate, skip, bias = wide
    x, dt, b, c, z = (lanes(tensor) for tensor in (u, dt, b, c, z))
    y, last, _ = scan(x, dt, rate, b, c, skip, z, bias, first, torch.is_grad_enabled())
    return y, last.transpose(1, 2).contiguous()


def lanes(x: Tensor) -> Tensor:
    """Channels side by side in memory, as the kernels read them; copied only if they are not."""
    return x if x.stride(-1) == 1 else x.contiguous()


def kernels() -> Any:
    """The module that needs triton."""
    return import_module("zoo_ssm.selective_scan_triton_kernels")


def on(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current device, whichever its tensors are on."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def padded(width: int) -> int:
    """The power of two, 4 at least, that a tile is wide."""
    return max(4, 1 << (width - 1).bit_length())


def along(*tensors: Tensor) -> list[int]:
    """Batch and length strides of each."""
    return [stride for tensor in tensors for stride in tensor.stride()[:2]]


@torch.library.custom_op("zoo::selective_scan_triton", mutates_args=())
def scan(
    u: Tensor,
    raw: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
    first: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """y (b, l, d), the last state (b, n, d), and if to ``keep`` those before all tiles, side by
    side (b, tiles, n, d).
    """
    batch, length, channels = u.shape
    y, last, kept = shapes(u, raw, a, b, c, skip, z, bias, first, keep)
    wide = padded(len(a))
    block = min(max(8, 128 // wide), padded(channels))  # 64 numbers a thread: what registers hold
    with on(u.device):
        kernels().forward[(-(-channels // block), batch)](
            *(u, raw, a, b, c, skip, z, bias, first, y, last, kept),
            *(length, channels, len(a), *along(u, raw, b, c, z)),
            T=TILE,
            N=wide,
            D=block,
            KEEP=keep,
            num_warps=max(1, wide * block // 128),
        )
    return y, last, kept


@scan.register_fake
def shapes(
    u: Tensor,
    raw: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
    first: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """What ``scan`` returns, empty."""
    batch, length, channels = u.shape
    y = u.new_empty(batch, length, channels)
    kept = first.new_empty(batch, -(-length // TILE) if keep else 0, len(a), channels)
    return y, torch.empty_like(first), kept


@torch.library.custom_op("zoo::selective_scan_triton_backward", mutates_args=())
def scan_backward(
    u: Tensor,
    raw: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
    kept: Tensor,
    dy: Tensor,
    dlast: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The adjoint of every input of ``scan``, in its order."""
    batch, length, channels = u.shape
    wide = padded(len(a))
    block = min(
        256 // wide, padded(channels)
    )  # 16 numbers a thread and array, since the adjoint has more arrays
    blocks = -(-channels // block)
    du, draw, dz = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (u, raw, z))
    da, dstate = kept.new_empty(batch, *a.shape), kept.new_empty(batch, *a.shape)
    dskip, dbias = kept.new_empty(batch, channels), kept.new_empty(batch, channels)
    db = kept.new_empty(blocks, batch, length, len(a))
    dc = torch.empty_like(db)
    with on(u.device):
        kernels().backward[(blocks, batch)](
            *(u, raw, a, b, c, skip, z, bias, kept, dy, dlast),
            *(du, draw, da, db, dc, dskip, dz, dbias, dstate),
            *(length, channels, len(a), *along(u, raw, b, c, z)),
            T=TILE,
            N=wide,
            D=block,
            num_warps=8,
        )
    db, dc = db.sum(0).to(b.dtype), dc.sum(0).to(c.dtype)
    return du, draw, da.sum(0), db, dc, dskip.sum(0), dz, dbias.sum(0), dstate


@scan_backward.register_fake
def shapes_backward(
    u: Tensor,
    raw: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
    kept: Tensor,
    dy: Tensor,
    dlast: Tensor,
) -> Grads:
    """What ``scan_backward`` returns, empty."""
    kind = torch.contiguous_format
    du, draw, db, dc, dz = (torch.empty_like(x, memory_format=kind) for x in (u, raw, b, c, z))
    da, dskip, dbias, dstate = (torch.empty_like(x) for x in (a, skip, bias, dlast))
    return du, draw, da, db, dc, dskip, dz, dbias, dstate


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """What the backward pass reads: all but the first state, which ``kept`` begins with."""
    ctx.save_for_backward(*inputs[:8], output[2])
    ctx.mark_non_differentiable(output[2])


def adjoint(ctx: Any, dy: Tensor, dlast: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    """The adjoints of ``scan``'s inputs; ``keep`` has none."""
    return *scan_backward(*ctx.saved_tensors, dy.contiguous(), dlast.contiguous()), None


scan.register_autograd(adjoint, setup_context=remember)


@register_flop_formula(torch.ops.zoo.selective_scan_triton)
def flops(u: Any, raw: Any, a: Any, *rest: Any, **more: Any) -> int:
    """By channel and token 7 n (dt A, its exponential, drive, multiply-add, C h) and 16 besides."""
    batch, length, channels = u
    return int(batch * length * channels * (7 * a[0] + 16))


@register_flop_formula(torch.ops.zoo.selective_scan_triton_backward)
def flops_backward(u: Any, raw: Any, a: Any, *rest: Any, **more: Any) -> int:
    """The same again, and 13 n for the adjoint and its five sums, 30 besides."""
    batch, length, channels = u
    return int(batch * length * channels * (20 * a[0] + 46))


missing = zoo.ops.cuda.package("triton", "triton", install="it comes with a CUDA build of torch")
refuses = zoo.ops.cuda.only("the triton kernel")
TRITON = zoo.Kernel("triton", selective_scan, missing, refuses)
