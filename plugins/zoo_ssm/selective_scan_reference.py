"""The selective scan as the paper writes it: one token at a time, plain differentiable torch."""

import torch
from jaxtyping import Float
from torch import Tensor


def reference(
    u: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    a: Float[Tensor, "d n"],
    b: Float[Tensor, "b l n"],
    c: Float[Tensor, "b l n"],
    state: Float[Tensor, "b d n"],
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t;  y_t = C_t h_t.  Returns y and the last h.

    Gu and Dao 2023, arXiv:2312.00752, equations 2 and 4, with the simpler step for B that their
    code takes (Euler) in place of the zero-order hold.
    """
    outputs = []
    for t in range(u.shape[1]):
        state, y = advance(u[:, t], dt[:, t], a, b[:, t], c[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, dim=1), state


def advance(
    u: Float[Tensor, "b d"],
    dt: Float[Tensor, "b d"],
    a: Float[Tensor, "d n"],
    b: Float[Tensor, "b n"],
    c: Float[Tensor, "b n"],
    state: Float[Tensor, "b d n"],
) -> tuple[Float[Tensor, "b d n"], Float[Tensor, "b d"]]:
    """One token: the next h and its y."""
    decay = torch.exp(dt[:, :, None] * a)  # (b, d, n)
    state = decay * state + (dt * u)[:, :, None] * b[:, None, :]
    return state, (state * c[:, None, :]).sum(-1)
