"""State space duality in plain torch: matrix products inside chunks, a recurrence between them."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

import zoo

CHUNK = 64


def chunked(
    x: Float[Tensor, "b l h p"],
    log_decay: Float[Tensor, "b l h"],
    b: Float[Tensor, "b l g n"],
    c: Float[Tensor, "b l g n"],
    state: Float[Tensor, "b h n p"],
    chunk: int = CHUNK,
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """What ``reference`` computes; all tensors of one dtype. Dao and Gu 2024, section 6.

    The last chunk is filled up with tokens that write nothing and forget nothing.
    """
    length, groups = x.shape[1], b.shape[2]
    chunk = min(chunk, length)
    fill = -length % chunk
    x, b, c = (F.pad(tensor, (0, 0, 0, 0, 0, fill)) for tensor in (x, b, c))
    log_decay = F.pad(log_decay, (0, 0, 0, fill))
    x = rearrange(x, "b (k q) (g r) p -> b k g r q p", q=chunk, g=groups)
    b, c = (rearrange(each, "b (k q) g n -> b k g q n", q=chunk) for each in (b, c))
    # a decay between two tokens is a difference of these: wide, or a large one drowns a small one
    total = rearrange(log_decay.double(), "b (k q) (g r) -> b k g r q", q=chunk, g=groups).cumsum(
        -1
    )

    gap = (total[..., :, None] - total[..., None, :]).to(x.dtype)  # (b, k, g, r, q, q)
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    decay = torch.exp(gap.masked_fill(later, -torch.inf))  # from token s to token t
    since, until = torch.exp(total).to(x.dtype), torch.exp(total[..., -1:] - total).to(x.dtype)
    within = (c @ b.transpose(-1, -2))[:, :, :, None] * decay
    kept = rearrange(x * until[..., None], "b k g r q p -> b k g q (r p)")
    written = rearrange(b.transpose(-1, -2) @ kept, "b k g n (r p) -> k b g r n p", p=x.shape[-1])
    forget = rearrange(since[..., -1:], "b k g r 1 -> k b g r 1 1")
    state = rearrange(state, "b (g r) n p -> b g r n p", g=groups)
    before = []
    for more, left in zip(written.unbind(), forget.unbind(), strict=True):
        before.append(state)
        state = torch.addcmul(more, left, state)
    past = rearrange(torch.stack(before, 1), "b k g r n p -> b k g n (r p)")
    across = rearrange(c @ past, "b k g q (r p) -> b k g r q p", p=x.shape[-1])
    y = torch.addcmul(within @ x, across, since[..., None])
    y = rearrange(y, "b k g r q p -> b (k q) (g r) p")
    return y[:, :length], rearrange(state, "b g r n p -> b (g r) n p")


def cost(length: int, heads: int, groups: int, state: int, width: int) -> zoo.Flops:
    """What one row costs: products as written above, with the filled-up chunk.

    Other, by token and head: 3 for each token of the chunk (gap, exponential, product), 3 for each
    of the p numbers (scaled once, added once), 2 n p a chunk for the recurrence between them.
    """
    chunk = min(CHUNK, length)
    tokens = -(-length // chunk) * chunk
    inside = groups * chunk * state + heads * chunk * width
    between = 2 * heads * state * width
    other = heads * (3 * chunk + 3 * width) * tokens + heads * 2 * state * width * (tokens // chunk)
    return zoo.Flops(2 * tokens * (inside + between), other)
