"""Linear attention of positive features: chunk by chunk, and the equation as it stands.

All take queries and keys that are features already, (b, h, l, e), and values of the same shape.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

EPS = 1e-6  # features of a far negative number vanish; their sum must not divide by zero


def chunk_size(width: int, length: int) -> int:
    """A token costs c in its chunk and e in the sum before it; 32 is the least that pays."""
    return min(length, max(32, width))


def chunked(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Masked scores inside a chunk of c tokens, one running sum of k v^T across the chunks."""
    return normalised(sums(q, k, weighed(v), causal))


def weighed(v: Tensor) -> Tensor:
    """A last column of ones, which sums the weights."""
    return F.pad(v, (0, 1), value=1.0)


def sums(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Weighted sums of the values, not yet divided: (b, h, l, e + 1) of such values."""
    if not causal:
        return q @ (k.mT @ v)
    length = q.shape[2]
    size = chunk_size(q.shape[3], length)
    q, k, v = (
        rearrange(F.pad(z, (0, 0, 0, -length % size)), "b h (n c) e -> b h n c e", c=size)
        for z in (q, k, v)
    )
    total = (k.mT @ v).cumsum(dim=2)  # (b, h, n, e, e + 1)
    before = F.pad(total[:, :, :-1], (0, 0, 0, 0, 1, 0))
    y = (q @ k.mT).tril() @ v + q @ before
    return rearrange(y, "b h n c e -> b h (n c) e")[:, :, :length]


def normalised(y: Tensor) -> Tensor:
    """Divide by the sum of the weights, which is the last column."""
    return y[..., :-1] / y[..., -1:].clamp_min(EPS)


def reference(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Causal: token by token. Otherwise all weights at once."""
    if not causal:
        weights = q @ k.mT  # (b, h, l, l)
        return weights @ v / weights.sum(dim=-1, keepdim=True).clamp_min(EPS)
    total = q.new_zeros(*q.shape[:2], q.shape[3], v.shape[3])  # (b, h, e, e)
    weight = q.new_zeros(*q.shape[:2], q.shape[3])  # (b, h, e)
    ys = []
    for q_t, k_t, v_t in zip(q.unbind(2), k.unbind(2), v.unbind(2), strict=True):
        y, total, weight = advance(q_t, k_t, v_t, total, weight)
        ys.append(y)
    return torch.stack(ys, dim=2)


def advance(
    q: Tensor, k: Tensor, v: Tensor, total: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """S += k v^T, z += k, y = q S / q z: y (b, h, e), S (b, h, e, e) and z (b, h, e)."""
    total = total + k[..., :, None] * v[..., None, :]
    weight = weight + k
    below = (q * weight).sum(dim=-1, keepdim=True)
    return (q[..., None, :] @ total).squeeze(-2) / below.clamp_min(EPS), total, weight
