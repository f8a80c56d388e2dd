"""Into and out of a diagonal complex system, h_t = a h_{t-1} + B x_t and y_t = Re(C h_t).

The products are real ones: a complex number is its real and imaginary part side by side, as torch
keeps it, so nothing is copied.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor


def drive(
    x: Float[Tensor, "*b d"], b: Complex[Tensor, "n d"], wide: torch.dtype
) -> Complex[Tensor, "*b n"]:
    """B x, multiplied in the dtype of x (or autocast's) and returned as complex of ``wide``."""
    weight = rearrange(torch.view_as_real(b), "n d parts -> (n parts) d")
    product = F.linear(x, weight.to(x.dtype)).to(wide)
    return torch.view_as_complex(rearrange(product, "... (n parts) -> ... n parts", parts=2))


def read(
    h: Complex[Tensor, "*b n"], c: Complex[Tensor, "d n"], dtype: torch.dtype
) -> Float[Tensor, "*b d"]:
    """Re(C h), multiplied in ``dtype`` (or autocast's)."""
    weight = rearrange(torch.view_as_real(c.conj().resolve_conj()), "d n parts -> d (n parts)")
    parts = rearrange(torch.view_as_real(h), "... n parts -> ... (n parts)")
    return F.linear(parts.to(dtype), weight.to(dtype))
