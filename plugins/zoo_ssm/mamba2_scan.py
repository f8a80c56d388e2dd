"""Mamba-2's inner operation, from raw step sizes to outputs with their skip, and its kernels."""

from functools import partial
from importlib import import_module

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

import zoo
from zoo_ssm import ssd

Limit = tuple[float, float]
CHUNK = 256
"""Tokens that the CUDA kernel takes at once: the authors' choice."""


def mamba2_scan(
    scan: zoo.Kernel,
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    a: Float[Tensor, " h"],
    b: Float[Tensor, "b l g n"],
    c: Float[Tensor, "b l g n"],
    skip: Float[Tensor, " h"],
    dt_bias: Float[Tensor, " h"],
    state: Float[Tensor, "b h n p"] | None = None,
    limit: Limit | None = None,
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """SSD of (dt x) under decays exp(dt a), plus skip x; dt is softplus(dt + dt_bias) in ``limit``.

    Computed and carried in float32 at least, whatever comes in and whatever autocast says; y has
    the dtype of x.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    dt = F.softplus(dt.to(wide) + dt_bias)
    if limit is not None:
        dt = dt.clamp(*limit)
    y, last = scan.run(x, dt * a, b, c, state, scale=dt, skip=skip)
    return y, last


def mamba_ssm(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    a: Float[Tensor, " h"],
    b: Float[Tensor, "b l g n"],
    c: Float[Tensor, "b l g n"],
    skip: Float[Tensor, " h"],
    dt_bias: Float[Tensor, " h"],
    state: Float[Tensor, "b h n p"] | None = None,
    limit: Limit | None = None,
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """The same by the authors' fused Triton kernel, which carries p before n.

    It wants one dtype for all that has a length and float32 for what has none.
    """
    fused = import_module("mamba_ssm.ops.triton.ssd_combined").mamba_chunk_scan_combined
    dt, b, c = (tensor.to(x.dtype) for tensor in (dt, b, c))
    first = None if state is None else rearrange(state.float(), "b h n p -> b h p n").contiguous()
    y, last = fused(
        x,
        dt,
        a.float(),
        b,
        c,
        chunk_size=CHUNK,
        D=skip.float(),
        dt_bias=dt_bias.float(),
        initial_states=first,
        dt_softplus=True,
        dt_limit=limit or (0.0, float("inf")),
        return_final_states=True,
    )
    return y, rearrange(last.float(), "b h p n -> b h n p").contiguous()


missing = zoo.ops.cuda.package(
    "mamba-ssm's ssd_combined",
    "mamba_ssm.ops.triton.ssd_combined",
    install="pip install mamba-ssm causal-conv1d --no-build-isolation",
)
refuses = zoo.ops.cuda.only("mamba_ssm")
KERNELS = (
    zoo.Kernel("mamba_ssm", mamba_ssm, missing, refuses),
    *(
        zoo.Kernel(scan.name, partial(mamba2_scan, scan), scan.missing, scan.refuses)
        for scan in ssd.KERNELS
    ),
)
