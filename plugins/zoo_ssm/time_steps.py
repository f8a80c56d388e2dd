"""Where the step sizes of Mamba and its followers start."""

import math

import torch
from torch import Tensor

DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 0.1, 1e-4


@torch.no_grad()
def start_steps(bias: Tensor) -> None:
    """Fill ``bias`` so that its softplus is log-uniform in [0.001, 0.1]."""
    dt = torch.empty_like(bias).uniform_(math.log(DT_MIN), math.log(DT_MAX)).exp()
    dt.clamp_(min=DT_FLOOR)
    bias.copy_(dt + torch.log(-torch.expm1(-dt)))
