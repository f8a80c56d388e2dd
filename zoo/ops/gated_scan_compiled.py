"""The gated scan as operators that autograd, torch.compile and the FLOP counter see through.

What runs them, and what needs numba, is in gated_scan_numba.py and imported at the first call.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from zoo.ops import fused

LANES = 64
"""Rows are cut at multiples of this, a multiple of what vector units take: so each element is
computed the same way, to the bit, however a row is cut."""


@torch.library.custom_op("zoo::gated_scan", mutates_args=(), device_types="cpu")
def gated_scan(decay: Tensor, drive: Tensor, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """h (b, l, d) and the last h, all of one dtype; decay is (b, l, d) or (d,)."""
    from zoo.ops.gated_scan_numba import forward

    h = torch.empty_like(drive, memory_format=torch.contiguous_format)
    batch, _, width = drive.shape
    lanes, tasks = cut(batch, width)
    tensors = fused.arrays(aligned(decay), drive, state, h)
    fused.share(forward, tasks, *tensors, lanes, reverse)
    return h, h[:, 0 if reverse else -1].clone()


@torch.library.custom_op("zoo::gated_scan_backward", mutates_args=(), device_types="cpu")
def gated_scan_backward(
    decay: Tensor, h: Tensor, state: Tensor, dh: Tensor, dlast: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What loses dh and dlast on the two outputs give to decay, drive and state."""
    from zoo.ops.gated_scan_numba import backward

    ddrive = torch.empty_like(h, memory_format=torch.contiguous_format)
    dstate = torch.empty_like(state, memory_format=torch.contiguous_format)
    batch, _, width = h.shape
    lanes, tasks = cut(batch, width)
    gated = decay.ndim == 3
    ddecay = torch.empty_like(ddrive) if gated else torch.empty_like(dstate)[:, None]
    inputs = fused.arrays(aligned(decay), h, state, dh, dlast)
    outputs = fused.arrays(ddecay, ddrive, dstate)
    fused.share(backward, tasks, *inputs, *outputs, lanes, reverse)
    return ddecay if gated else ddecay.sum((0, 1)), ddrive, dstate


@gated_scan.register_fake
def _(decay: Tensor, drive: Tensor, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    h = torch.empty_like(drive, memory_format=torch.contiguous_format)
    return h, h.new_empty(state.shape)


@gated_scan_backward.register_fake
def _(
    decay: Tensor, h: Tensor, state: Tensor, dh: Tensor, dlast: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return h.new_empty(decay.shape), h.new_empty(h.shape), h.new_empty(state.shape)


def setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keep what the backward pass reads; the states are the output itself."""
    decay, _, state, ctx.reverse = inputs
    ctx.save_for_backward(decay, output[0], state)


def differentiate(ctx: Any, dh: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
    """First derivatives; a second one is refused by torch, the backward operator having none."""
    return *gated_scan_backward(*ctx.saved_tensors, dh, dlast, ctx.reverse), None


gated_scan.register_autograd(differentiate, setup_context=setup)


def multiply_add(x: Tensor) -> int:
    """Operations of one for each element: a complex one is four real ones."""
    return x.numel() * (8 if x.is_complex() else 2)


@register_flop_formula(torch.ops.zoo.gated_scan, get_raw=True)
def _(decay: Tensor, drive: Tensor, *_: Any, **__: Any) -> int:
    return multiply_add(drive)


@register_flop_formula(torch.ops.zoo.gated_scan_backward, get_raw=True)
def _(decay: Tensor, h: Tensor, *_: Any, **__: Any) -> int:
    """The adjoint state, and the decay's gradient: a product each, summed where there is one."""
    return 2 * multiply_add(h)


def cut(batch: int, width: int) -> tuple[int, int]:
    """Lanes in a task and the number of tasks: whole rows, unless threads would go without."""
    threads = torch.get_num_threads()
    pieces = 1 if batch >= threads else -(-2 * threads // max(1, batch))
    lanes = max(LANES, -(-width // pieces // LANES) * LANES)
    return lanes, batch * -(-width // lanes)


def aligned(decay: Tensor) -> Tensor:
    """A decay without batch and length gets them, of size one."""
    return decay if decay.ndim == 3 else decay[None, None]
