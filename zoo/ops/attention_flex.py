"""Attention by torch's FlexAttention: a band or a table of distances compiled into the kernel."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from zoo.kernel import Kernel
from zoo.ops import cuda
from zoo.ops.attention_bias import AttentionBias
from zoo.ops.attention_shapes import level
from zoo.position import RelativePosition

NARROWEST = 16
BLOCK = 128
COMPILATIONS = 128
FAR = 1 << 30
"""More than any distance."""


def flex(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """Compiled on a GPU; elsewhere torch's own explicit form of it, which has no backward.

    A single query goes to torch's fused attention: its mask is a row, while each step of decoding
    would have blocks of its own.
    """
    if q.shape[2] == 1:
        from zoo.ops.attention import sdpa

        return sdpa(q, k, v, bias)
    from torch.nn.attention.flex_attention import AuxRequest, flex_attention

    scale, width = q.shape[-1] ** -0.5, v.shape[-1]
    grouped = q.shape[1] != k.shape[1]
    q, k, v = level(q, k, v)
    if q.shape[-1] < NARROWEST:
        q, k, v = level(q, k, v, multiple=NARROWEST)
    attend: Any = compiled() if compiles(q) else flex_attention
    more = {} if bias.sinks is None else {"return_aux": AuxRequest(lse=True)}
    how = (added(bias, q, k), blocks(bias, q, k))
    y = attend(q, k, v, *how, scale=scale, enable_gqa=grouped, **more)
    if bias.sinks is not None:  # one more term in the sum below the softmax
        y, aux = y
        y = y * torch.sigmoid(aux.lse - bias.sinks[:, None]).to(y.dtype)[..., None]
    out: Tensor = y[..., :width]
    return out


def compiles(q: Tensor) -> bool:
    """Whether to compile here; inside a compiled model it is part of that."""
    return q.is_cuda and not torch.compiler.is_compiling()


@lru_cache(maxsize=1)
def compiled(backend: str | Callable[..., Any] = "inductor") -> Callable[..., Any]:
    """FlexAttention is fast only when compiled, once in a process.

    Each kind of mask and bias is a compilation, or three with its lengths. After eight of all kinds
    torch would give up, and compute all scores without a word.
    """
    from torch._dynamo import config
    from torch.nn.attention.flex_attention import flex_attention

    fast = torch.compile(flex_attention, backend=backend, fullgraph=True)

    def attend(*tensors: Any, **how: Any) -> Any:
        with config.patch(recompile_limit=COMPILATIONS):
            return fast(*tensors, **how)

    return attend


def added(bias: AttentionBias, q: Tensor, k: Tensor) -> Callable[..., Tensor] | None:
    """What to do to each score: one entry of a table of distances is added."""
    if not isinstance(bias.position, RelativePosition):
        return None
    queries, keys = q.shape[2], k.shape[2]
    table = bias.position.bias(torch.arange(1 - keys, queries, device=q.device))  # (h, k + q - 1)

    def add(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return score + table[h, j - i + queries - 1]

    return add


def blocks(bias: AttentionBias, q: Tensor, k: Tensor) -> Any:
    """Which blocks of 128 queries and keys meet, and who sees whom inside; None if all do."""
    left, right = (FAR, FAR) if bias.band is None else bias.band
    right = min(right, 0) if bias.causal else right
    if bias.lengths is None or bias.causal:
        if left == right == FAR:
            return None
        return banded(left, right, q.shape[2], k.shape[2], q.device)
    lengths, offset = bias.lengths.to(q.device), k.shape[2] - q.shape[2]

    def seen(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        distance = j - i - offset
        near = (distance >= -left) & (distance <= right)
        # a query of the padding keeps its own key
        return near & ((j < lengths[b]) | (distance == 0))

    return block_mask(left, right, q.shape[2], k.shape[2], q.device, seen, whole=False)


@lru_cache(maxsize=32)
def banded(left: int, right: int, queries: int, keys: int, device: torch.device) -> Any:
    """The blocks of a band, the same in every row and call."""
    offset = keys - queries

    def seen(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        distance = j - i - offset
        return (distance >= -left) & (distance <= right)

    return block_mask(left, right, queries, keys, device, seen, whole=True)


def block_mask(
    left: int,
    right: int,
    queries: int,
    keys: int,
    device: torch.device,
    seen: Callable[..., Tensor],
    whole: bool,
) -> Any:
    """From the ends of the blocks: torch's own maker would ask ``seen`` about every pair.

    ``whole``: a block inside the band needs no asking.
    """
    from torch.nn.attention.flex_attention import BlockMask

    i = torch.arange(0, queries, BLOCK, device=device)[:, None] + keys - queries
    j = torch.arange(0, keys, BLOCK, device=device)
    last_i = (i + BLOCK - 1).clamp(max=keys - 1)
    last_j = (j + BLOCK - 1).clamp(max=keys - 1)
    meet = (last_j - i >= -left) & (j - last_i <= right)
    full = (j - last_i >= -left) & (last_j - i <= right) & whole
    # blocks over the end are asked, for what lies there is no key
    full = full & (j + BLOCK <= keys) & (i + BLOCK <= keys)
    return BlockMask.from_kv_blocks(
        *listed(meet & ~full),
        *listed(full),
        BLOCK_SIZE=BLOCK,
        mask_mod=seen,
        seq_lengths=(queries, keys),
    )


def listed(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of keys each block of queries meets, and which, those first."""
    order = chosen.to(torch.int32).argsort(dim=-1, descending=True, stable=True)
    counts = chosen.sum(dim=-1, dtype=torch.int32)
    return counts[None, None], order.to(torch.int32)[None, None]


def refuses(q: Tensor, bias: AttentionBias | None = None) -> str | None:
    """It has no backward on the CPU, and without a compilation it is explicit attention."""
    if q.device.type != "cuda":
        return f"flex is compiled for CUDA, and has no backward on {q.device.type}"
    if q.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"flex takes float32, float16 and bfloat16, not {q.dtype}"
    if bias is None or bias.position is None or isinstance(bias.position, RelativePosition):
        return None
    return (
        f"flex takes biases that the distance alone decides, and {type(bias.position).__name__} is "
        "none of these"
    )


FLEX = Kernel(
    "flex",
    flex,
    missing=cuda.on_a_gpu(
        cuda.package("triton", "triton", install="it comes with a CUDA build of torch")
    ),
    refuses=refuses,
)
