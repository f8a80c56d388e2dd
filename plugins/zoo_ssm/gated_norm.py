"""The norm between a gated state space layer's scan and its output projection."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

EPSILON = 1e-5


class GatedNorm(nn.Module):
    """RMS norm of y silu(z), in ``groups`` of equal width; computed in float32 at least.

    With ``norm_before_gate`` silu(z) multiplies what was normed. Dao and Gu 2024, arXiv:2405.21060,
    section 7.1; ``weight`` is the only parameter, as in the authors' mamba_ssm.
    """

    def __init__(self, dim: int, *, groups: int = 1, norm_before_gate: bool = False) -> None:
        super().__init__()
        self.groups, self.norm_before_gate = groups, norm_before_gate
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, y: Float[Tensor, "*b d"], z: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        wide = torch.promote_types(y.dtype, torch.float32)
        gate, normed = F.silu(z.to(wide)), y.to(wide)
        if not self.norm_before_gate:
            normed = normed * gate
        normed = rearrange(normed, "... (g e) -> ... g e", g=self.groups)
        normed = F.rms_norm(normed, normed.shape[-1:], eps=EPSILON)
        normed = rearrange(normed, "... g e -> ... (g e)") * self.weight
        if self.norm_before_gate:
            normed = normed * gate
        return normed.to(y.dtype)
