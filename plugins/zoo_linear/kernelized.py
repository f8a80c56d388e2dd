"""Linear attention of positive features: chunk by chunk, and the recurrence."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

EPS = 1e-6  # features of a far negative number vanish; their sum must not divide by zero
CHUNK = 64


def chunked(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """y_i = q_i sum_(j<=i) k_j v_j^T / q_i sum_(j<=i) k_j, in chunks of c.

    Inside a chunk by masked scores, across chunks by the running sum. ``q``, ``k``, ``v``
    (b, h, l, e), the first two positive.
    """
    if not causal:
        return product(q, k, v)
    length = q.shape[2]
    size = min(CHUNK, length)
    q, k, v = (
        rearrange(F.pad(z, (0, 0, 0, -length % size)), "b h (n c) e -> b h n c e", c=size)
        for z in (q, k, v)
    )
    scores = (q @ k.mT).tril()  # (b, h, n, c, c)
    past = before(k.mT @ v)  # (b, h, n, e, e)
    normal = before(k.sum(dim=3, keepdim=True))  # (b, h, n, 1, e)
    above = scores @ v + q @ past
    below = scores.sum(dim=-1, keepdim=True) + (q * normal).sum(dim=-1, keepdim=True)
    return (above / below.clamp_min(EPS)).flatten(2, 3)[:, :, :length]


def before(x: Tensor) -> Tensor:
    """What stood before each chunk: the sum over those on its left, along dim 2."""
    return F.pad(x.cumsum(dim=2)[:, :, :-1], (0, 0, 0, 0, 1, 0))


def product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same over all keys, j > i too: two products and no chunk."""
    below = q @ k.sum(dim=2).unsqueeze(-1)  # (b, h, l, 1)
    return q @ (k.mT @ v) / below.clamp_min(EPS)


def reference(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """The recurrence as it stands: S += k v^T, z += k, y = q S / q z; or all weights at once."""
    if not causal:
        weights = q @ k.mT  # (b, h, l, l)
        return weights @ v / weights.sum(dim=-1, keepdim=True).clamp_min(EPS)
    total = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])  # (b, h, e, e)
    normal = q.new_zeros(*q.shape[:2], q.shape[-1])  # (b, h, e)
    ys = []
    for q_t, k_t, v_t in zip(q.unbind(2), k.unbind(2), v.unbind(2), strict=True):
        y, total, normal = advance(q_t, k_t, v_t, total, normal)
        ys.append(y)
    return torch.stack(ys, dim=2)


def advance(
    q: Tensor, k: Tensor, v: Tensor, total: Tensor, normal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One step: output (b, h, e), S (b, h, e, e) and z (b, h, e)."""
    total = total + k[..., :, None] * v[..., None, :]
    normal = normal + k
    below = (q * normal).sum(dim=-1, keepdim=True)
    return (q[..., None, :] @ total).squeeze(-2) / below.clamp_min(EPS), total, normal
