"""The most that a device was seen to do: the roofs under which a cost is judged."""

import time
from collections.abc import Callable

import torch

ROUNDS = 7


def best(call: Callable[[], object], device: str) -> float:
    """Seconds of the quickest of some calls: a roof is what can be reached at all."""
    seconds = []
    for done in range(ROUNDS + 2):
        if device == "cuda":
            torch.cuda.synchronize()
        since = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        if done >= 2:
            seconds.append(time.perf_counter() - since)
    return min(seconds)


@torch.no_grad()
def matmul_flops(device: str, precision: str) -> float:
    """Floating point operations a second in a large matrix product."""
    side = 8192 if device == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * side**3 / best(lambda: torch.mm(a, b, out=out), device)


@torch.no_grad()
def bandwidth(device: str) -> float:
    """Bytes a second that a copy reads and writes, of more than any cache holds."""
    count = 2**30 if device == "cuda" else 2**28
    source = torch.ones(count // 4, device=device)
    target = torch.zeros_like(source)
    return 2 * count / best(lambda: target.copy_(source), device)
