"""Attention to chosen blocks as a torch operator over the compiled loops, forward and backward."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

import zoo
from zoo_sparse import selected_numba as kernels

TILE = 256
"""Rows of queries that meet a block together, at most, where each is in a row of its own."""
TASKS = 16
"""Pieces of work for the backward pass, at least: each adds up the keys' gradients by itself."""


@torch.library.custom_op("zoo::selected", mutates_args=(), device_types="cpu")
def selected(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    ends: Tensor,
    block: int,
    causal: bool,
    start: int,
) -> tuple[Tensor, Tensor]:
    """y (b h l e), and the logarithms to the base 2 of the sums (b h l).

    q (b h l e), k and v (b g t e), all float32 or all float64; chosen (b i l n); ``ends`` (b) the
    numbers of keys that are no padding.
    """
    y, sums = empty(q)
    if not q.numel():
        return y, sums
    along, width = widths(block, q.shape[3])
    keys, values = cut(k, block), cut(v, block)
    queries, out = padded(q, width), q.new_empty(*q.shape[:3], -(-q.shape[3] // width) * width)
    inputs = zoo.ops.fused.arrays(queries, keys.mT, values, chosen.int(), ends)
    size, tiles = tiling(q, chosen)
    tasks, scale = len(q) * chosen.shape[1] * tiles, factor(q)
    run = kernels.forward(along, width)
    outputs = zoo.ops.fused.arrays(out, sums)
    zoo.ops.fused.share(run, tasks, *inputs, block, causal, start, scale, size, *outputs)
    return (out if out.shape == y.shape else out[..., : q.shape[3]].contiguous()), sums


@torch.library.custom_op("zoo::selected_backward", mutates_args=(), device_types="cpu")
def selected_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    ends: Tensor,
    block: int,
    causal: bool,
    start: int,
    y: Tensor,
    sums: Tensor,
    dy: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What a loss dy on y gives to q, k and v."""
    if not q.numel():
        return q.new_zeros(q.shape), k.new_zeros(k.shape), v.new_zeros(v.shape)
    along, width = widths(block, q.shape[3])
    keys, values, slope = cut(k, block), cut(v, block), (y * dy).sum(dim=-1)
    queries, losses = padded(q, width), padded(dy, width)
    size, tiles = tiling(q, chosen)
    jobs = chosen.shape[1] // k.shape[1] * tiles
    splits = min(jobs, -(-TASKS // (len(k) * k.shape[1])))
    dq = queries.new_empty(queries.shape)  # empty_like keeps odd strides: a copy would be written
    dk, dv = (keys.new_empty(splits, *keys.shape) for _ in "kv")
    inputs = zoo.ops.fused.arrays(queries, keys.mT, keys, values.mT, chosen.int(), ends)
    others = zoo.ops.fused.arrays(sums, slope, losses, dq, dk, dv)
    run, tasks = kernels.backward(along, width), splits * len(k) * k.shape[1]
    zoo.ops.fused.share(run, tasks, *inputs, block, causal, start, factor(q), size, *others)
    dk, dv = (whole(z.sum(dim=0), block, k.shape) for z in (dk, dv))
    return (dq if dq.shape == q.shape else dq[..., : q.shape[3]].contiguous()), dk, dv


def widths(block: int, width: int) -> tuple[int, int]:
    """Lanes along the keys of a block, and along the width of a head."""
    return kernels.lanes(block), kernels.lanes(width)


def tiling(q: Tensor, chosen: Tensor) -> tuple[int, int]:
    """Queries of a tile and number of tiles."""
    size = max(1, min(TILE * chosen.shape[1] // q.shape[1], q.shape[2]))
    return size, -(-q.shape[2] // size)


def factor(q: Tensor) -> Any:
    """What a score is multiplied by before 2^."""
    return np.dtype(str(q.dtype).removeprefix("torch.")).type(kernels.LOG2E / q.shape[3] ** 0.5)


def padded(x: Tensor, lanes: int) -> Tensor:
    """The last axis filled up with zeros to whole lanes."""
    fill = -x.shape[-1] % lanes
    return F.pad(x, (0, fill)) if fill else x.contiguous()


def cut(x: Tensor, block: int) -> Tensor:
    """(b, g, t, e) to blocks (b, g, n, c, e), filled up with zeros to whole lanes."""
    along, width = widths(block, x.shape[3])
    x = F.pad(x, (0, -x.shape[3] % width, 0, -x.shape[2] % block))
    x = rearrange(x, "b g (n c) e -> b g n c e", c=block)
    return F.pad(x, (0, 0, 0, -block % along))


def whole(x: Tensor, block: int, shape: torch.Size) -> Tensor:
    """The way back: (b, g, n, c, e) to ``shape`` (b, g, t, e)."""
    return x[:, :, :, :block, : shape[3]].flatten(2, 3)[:, :, : shape[2]].contiguous()


def empty(q: Tensor) -> tuple[Tensor, Tensor]:
    """y and the sums, yet to be written."""
    return q.new_empty(q.shape), q.new_empty(q.shape[:3])


@selected.register_fake
def _(q: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return empty(q)


@selected_backward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = (x.new_empty(x.shape) for x in (q, k, v))
    return dq, dk, dv


def setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keep inputs and outputs: weights are computed again."""
    *tensors, ctx.block, ctx.causal, ctx.start = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.mark_non_differentiable(output[1])


def differentiate(ctx: Any, dy: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    """First derivatives; a second one is refused by torch, the backward operator having none."""
    *inputs, y, sums = ctx.saved_tensors
    grads = selected_backward(*inputs, ctx.block, ctx.causal, ctx.start, y, sums, dy)
    return (*grads, None, None, None, None, None)


selected.register_autograd(differentiate, setup_context=setup)


def pairs(q: Any, chosen: Any, block: int) -> int:
    """Of a query and a key, if every choice is one and every key is seen."""
    batch, heads, length, _ = q
    return int(batch * heads * length * chosen[3] * block)


@register_flop_formula(torch.ops.zoo.selected)
def _(q: Any, k: Any, v: Any, chosen: Any, ends: Any, block: int, *_: Any, **__: Any) -> int:
    """Two products, and 6 a pair for the softmax."""
    return pairs(q, chosen, block) * (4 * int(q[3]) + 6)


@register_flop_formula(torch.ops.zoo.selected_backward)
def _(q: Any, k: Any, v: Any, chosen: Any, ends: Any, block: int, *_: Any, **__: Any) -> int:
    """Five products, and 6 a pair for the softmax."""
    return pairs(q, chosen, block) * (10 * int(q[3]) + 6)
