"""The strided pattern by torch's fused CPU kernel: rows and columns apart, joined by their sums."""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

import zoo
from zoo_sparse.pattern import Sparsity
from zoo_sparse.strided import Strided, around, strided

NAME = "_scaled_dot_product_flash_attention_for_cpu"
"""Torch's operator, private to it: the public call does not return the sums."""


def fused(q: Tensor, k: Tensor, v: Tensor, bias: Sparsity) -> Tensor:
    """As ``strided``, without its l sqrt(l) numbers in memory, but for the mask of the rows."""
    assert isinstance(bias.pattern, Strided)
    length, stride = q.shape[2], bias.pattern.stride
    if bias.start or length <= stride:
        return strided(q, k, v, bias)
    rows, batch = -(-length // stride), len(q)
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    q, k, v = (
        rearrange(F.pad(x, (0, 0, 0, rows * stride - length)), "b h (m p) e -> b h m p e", m=rows)
        for x in (q, k, v)
    )
    near = [q, around(k, 0, bias.causal), around(v, 0, bias.causal)]
    near = [packed(rearrange(x, "b h m p e -> (b m) h p e")) for x in near]
    if bias.causal:  # own row apart, that is a square below its diagonal
        q, k, v = q[:, :, 1:], k[:, :, :-1], v[:, :, :-1]
    far = [packed(rearrange(x, "b h m p e -> (b p) h m e")) for x in (q, k, v)]
    masks = (
        near_mask(bias, rows, length, batch, near[0]),
        far_mask(bias, rows, length, batch, far[0]),
    )
    y: Tensor = Joined.apply(*near, *far, *masks, batch)  # type: ignore[no-untyped-call]
    return rearrange(y, "(b m) h p e -> b h (m p) e", b=batch)[:, :, :length]


def packed(x: Tensor) -> Tensor:
    """With the last axis side by side in memory: the kernel takes it so, and does not look."""
    return x if x.stride(-1) == 1 else x.contiguous()


def near_mask(bias: Sparsity, rows: int, length: int, batch: int, q: Tensor) -> Tensor:
    """(b m, 1, p, j): 0 for what is nearer than a row's width, else -inf."""
    stride = q.shape[2]
    at = torch.arange(rows * stride, device=q.device).view(rows, stride, 1)
    to = at[:, :1] + torch.arange(-stride, stride * (1 if bias.causal else 2), device=q.device)
    seen = (to[:1] - at[:1]).abs() < stride
    if bias.causal:
        seen = seen & (to[:1] <= at[:1])
    seen = bias.real(seen & (((to >= 0) & (to < length)) | (to == at)), at, to)
    seen = seen.view(-1, rows, *seen.shape[-2:]).expand(batch, -1, -1, -1)
    return additive(rearrange(seen, "b m p j -> (b m) 1 p j"), q)


def far_mask(bias: Sparsity, rows: int, length: int, batch: int, q: Tensor) -> Tensor | None:
    """(b p or 1, 1, m, n): 0 for keys of other rows; None where the kernel knows, if causal."""
    if bias.causal:
        return None
    lengths = torch.tensor([length]) if bias.lengths is None else bias.lengths
    key_at = torch.arange(rows * len(q) // batch, device=q.device).view(rows, -1)
    real = rearrange(key_at < lengths.to(q.device)[:, None, None], "b n p -> b p 1 1 n")
    seen = real & ~torch.eye(rows, dtype=torch.bool, device=q.device)
    return additive(seen.expand(batch, -1, -1, -1, -1).flatten(0, 1), q)


def additive(seen: Tensor, q: Tensor) -> Tensor:
    """What is added to scores."""
    return torch.zeros(seen.shape, dtype=q.dtype, device=q.device).masked_fill(~seen, -torch.inf)


class Joined(torch.autograd.Function):
    """One softmax over two sets of keys, each a call that also returns the log of its sum.

    Backward, each call is given what both came to: its weights are then those of the joint softmax.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *tensors, batch = inputs
        near_q, near_k, near_v, far_q, far_k, far_v, near_mask, far_mask = tensors
        forward = getattr(torch.ops.aten, NAME)
        near, near_sum = forward(near_q, near_k, near_v, attn_mask=near_mask)
        nobody = None if far_mask is None else (far_mask == -torch.inf).all(-1)[..., None]
        filled = None if nobody is None else far_mask.masked_fill(nobody, 0)
        far, far_sum = forward(far_q, far_k, far_v, is_causal=far_mask is None, attn_mask=filled)
        if nobody is not None:
            far_sum = far_sum.masked_fill(nobody[..., 0], -torch.inf)
        rows = len(near_q) // batch
        far = to_rows(far, rows, batch, 0.0)
        far_sum = to_rows(far_sum[..., None], rows, batch, -torch.inf)
        near_sum = near_sum[..., None]
        both = torch.logaddexp(near_sum, far_sum)
        y: Tensor = (near * (near_sum - both).exp() + far * (far_sum - both).exp()).to(near.dtype)
        ctx.save_for_backward(*tensors, y, both[..., 0])
        ctx.batch = batch
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        *near, far_q, far_k, far_v, near_mask, far_mask, y, both = ctx.saved_tensors
        grad = grads[0].contiguous()
        run = getattr(torch.ops.aten, f"{NAME}_backward")
        near = run(grad, *near, y, both, 0.0, False, attn_mask=near_mask)
        rows = far_q.shape[2]
        down = [to_columns(x, rows, ctx.batch) for x in (grad, y, both[..., None])]
        far = run(
            down[0],
            far_q,
            far_k,
            far_v,
            down[1],
            down[2][..., 0],
            0.0,
            far_mask is None,
            attn_mask=far_mask,
        )
        return *near, *far, None, None, None


def to_rows(x: Tensor, rows: int, batch: int, nothing: float) -> Tensor:
    """(b p, h, m, e) to (b m, h, p, e); the first of ``rows``, where there is none, is nothing."""
    x = rearrange(x, "(b p) h m e -> b m h p e", b=batch)
    return F.pad(x, (0, 0, 0, 0, 0, 0, rows - x.shape[1], 0), value=nothing).flatten(0, 1)


def to_columns(x: Tensor, rows: int, batch: int) -> Tensor:
    """(b m, h, p, e) to (b p, h, m, e) of the last ``rows``."""
    x = rearrange(x, "(b m) h p e -> b p h m e", b=batch)
    return x[:, :, :, x.shape[3] - rows :].flatten(0, 1).contiguous()


def missing() -> str | None:
    """Why this torch has no such kernel: its name is torch's own affair."""
    names = NAME, f"{NAME}_backward"
    gone = [name for name in names if not hasattr(torch.ops.aten, name)]
    return f"torch {torch.__version__} has no aten::{gone[0]}; torch 2.13 has it" if gone else None


def refuses(q: Tensor, bias: Sparsity | None = None) -> str | None:
    """The kernel is a CPU's, and gives a mask no gradient."""
    if q.device.type != "cpu":
        return f"fused runs on a CPU, not on {q.device.type}"
    if bias is not None and bias.position is not None:
        return f"fused adds no biases, and {type(bias.position).__name__} is one"
    return zoo.ops.fused.no_tangents(q)


FUSED = zoo.Kernel("fused", fused, missing, refuses)
