"""State space duality's recurrence as the paper writes it: one token at a time, plain torch."""

import torch
from jaxtyping import Float
from torch import Tensor


def reference(
    x: Float[Tensor, "b l h p"],
    log_decay: Float[Tensor, "b l h"],
    b: Float[Tensor, "b l g n"],
    c: Float[Tensor, "b l g n"],
    state: Float[Tensor, "b h n p"],
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """S_t = exp(log_decay_t) S_{t-1} + B_t x_t^T;  y_t = C_t^T S_t.  Returns y and the last S.

    Dao and Gu 2024, arXiv:2405.21060, equation 1 with a scalar times identity for A. Head i reads
    B and C of group i // (h / g).
    """
    each = x.shape[2] // b.shape[2]
    b, c = b.repeat_interleave(each, 2), c.repeat_interleave(each, 2)  # (b, l, h, n)
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(log_decay[:, t])[..., None, None]
        state = decay * state + b[:, t, :, :, None] * x[:, t, :, None, :]
        outputs.append((c[:, t, :, :, None] * state).sum(-2))
    return torch.stack(outputs, dim=1), state
