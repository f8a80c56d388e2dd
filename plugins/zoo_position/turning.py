"""Pairs of features turned by an angle: what the rotary positions share."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

import zoo

Base = Annotated[float, Field(gt=1)]
"""What the frequencies are powers of: the longest wave is about 2 pi times as long."""


def exact(x: Tensor) -> torch.dtype:
    """The dtype to count positions in: bf16 has 8 bits and could not tell 256 from 257."""
    return torch.promote_types(x.dtype, torch.float32)


def places(x: Tensor, start: int) -> Tensor:
    """(l,): the positions of ``x`` (..., l, e), in at least float32."""
    return torch.arange(start, start + x.shape[-2], device=x.device, dtype=exact(x))


def frequencies(like: Tensor, width: int, base: float) -> Tensor:
    """(ceil(width / 2),): base^(-2i / width), radians a position, as ``like`` is."""
    even = torch.arange(0, width, 2, device=like.device, dtype=like.dtype)
    return base ** (-even / width)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``x`` (b, h, l, e) with its first features, twice the width of ``cos`` (l, r), turned.

    The pairs are (x_i, x_(i+r)): the half-split layout of GPT-NeoX, not the interleaved one of the
    paper, from which it differs by a permutation of the features.
    """
    width = 2 * cos.shape[-1]
    real, imaginary = x[..., :width].to(cos.dtype).chunk(2, dim=-1)
    pairs = [real * cos - imaginary * sin, imaginary * cos + real * sin]
    whole = torch.cat(pairs, dim=-1).to(x.dtype)
    return whole if width == x.shape[-1] else torch.cat([whole, x[..., width:]], dim=-1)


def even_width(name: str, dim: int, heads: int, multiple: int = 2) -> int:
    """The width of a head; raises ZooError, with a dim that would do, if it is not a multiple."""
    if dim % (heads * multiple):
        whole = heads * multiple
        raise zoo.ZooError(
            f"position={name} turns {'pairs' if multiple == 2 else 'pairs on two axes'}, but "
            f"dim={dim} with heads={heads} gives heads of width {dim / heads:g}; dim must be a "
            f"multiple of {whole}: try dim={-(-dim // whole) * whole}"
        )
    return dim // heads
