"""Queries, keys and values in the shapes that other people's kernels want."""

import torch
import torch.nn.functional as F
from torch import Tensor


def level(*tensors: Tensor, multiple: int = 1) -> tuple[Tensor, ...]:
    """All as wide as the widest, or the next ``multiple``, by zeros: products stay what they are.

    Fused kernels take queries, keys and values of one width. The scale of the scores must then be
    given, for they would take it from the padded width.
    """
    width = -(-max(z.shape[-1] for z in tensors) // multiple) * multiple
    return tuple(z if z.shape[-1] == width else F.pad(z, (0, width - z.shape[-1])) for z in tensors)


def with_sink(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One more column, and a first key that meets each query h at a score of ``sinks[h]``.

    Its value is zero, so that it takes its share of the softmax and gives nothing. Any kernel can
    do that, and the gradient of the sinks comes with that of the queries.
    """
    ends = (sinks / scale).to(q.dtype)[None, :, None, None].expand(*q.shape[:3], 1)
    sink = F.pad(torch.ones_like(k[:, :, :1, :1]), (k.shape[-1], 0))
    k = torch.cat([sink, F.pad(k, (0, 1))], dim=2)
    return torch.cat([q, ends], dim=-1), k, F.pad(v, (0, 0, 1, 0))
