"""The norm between a gated state space layer's scan and its output projection."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

import zoo

EPSILON = 1e-5
FEW = 2**14
"""Numbers below which plain torch is done before an operator of ours has started."""


class GatedNorm(nn.Module):
    """RMS norm of y silu(z), in ``groups`` of equal width; computed in float32 at least.

    With ``norm_before_gate`` silu(z) multiplies what was normed. Dao and Gu 2024, arXiv:2405.21060,
    section 7.1; ``weight`` is the only parameter, as in the authors' mamba_ssm. In ``plain`` torch
    it has derivatives of every order and mode.
    """

    def __init__(self, dim: int, *, groups: int = 1, norm_before_gate: bool = False) -> None:
        super().__init__()
        self.groups, self.norm_before_gate = groups, norm_before_gate
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(
        self, y: Float[Tensor, "*b d"], z: Float[Tensor, "*b d"], *, plain: bool = False
    ) -> Float[Tensor, "*b d"]:
        wide = torch.promote_types(y.dtype, torch.float32)
        inputs = (tensor.to(wide) for tensor in (y, z, self.weight))
        kernels = KERNELS[-1:] if plain else KERNELS
        run = next(kernel.run for kernel in kernels if kernel.reason(y) is None)
        out: Tensor = run(*inputs, self.groups, self.norm_before_gate)
        return out.to(y.dtype)


def portable(
    y: Float[Tensor, "*b d"],
    z: Float[Tensor, "*b d"],
    weight: Float[Tensor, " d"],
    groups: int,
    norm_before_gate: bool,
) -> Float[Tensor, "*b d"]:
    """In plain torch."""
    gate = F.silu(z)
    normed = y if norm_before_gate else y * gate
    normed = rearrange(normed, "... (g e) -> ... g e", g=groups)
    normed = F.rms_norm(normed, normed.shape[-1:], eps=EPSILON)
    normed = rearrange(normed, "... g e -> ... (g e)") * weight
    return normed * gate if norm_before_gate else normed


def compiled(
    y: Float[Tensor, "*b d"],
    z: Float[Tensor, "*b d"],
    weight: Float[Tensor, " d"],
    groups: int,
    norm_before_gate: bool,
) -> Float[Tensor, "*b d"]:
    """By the loops that Numba compiles."""
    from zoo_ssm.gated_norm_numba import gated_norm  # numba may be missing

    rows = (rearrange(each, "... d -> (...) d").contiguous() for each in (y, z))
    out: Tensor = gated_norm(*rows, weight, groups, EPSILON, norm_before_gate)
    return out.view(y.shape)


def refuses(y: Tensor) -> str | None:
    """Why the compiled kernel cannot, or should not, take this input."""
    few = f"{y.numel()} numbers are too few to be worth it" if y.numel() < FEW else None
    return zoo.ops.fused.refuses(y) or few


KERNELS = (
    zoo.Kernel("numba", compiled, zoo.ops.fused.missing, refuses),
    zoo.Kernel("torch", portable),
)
