"""State space models on a CPU: our scans and mixers against what a user would otherwise pick.

    python bench/scan.py [scan mixer decode memory length] [--json FILE] [--rounds N]

All sides of a row take turns in one process; a ratio is the median over the rounds of the ratio
within a round. Peak memory is the growth of resident memory in a fresh process each.
Needs the development dependencies (mambapy, transformers).
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

os.environ |= {"USE_HUB_KERNELS": "NO", "HF_HUB_OFFLINE": "1"}

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from turns import Side, both, forward, fresh, in_turns, peak_bytes, ratio, report

B, L, D, N = 4, 1024, 256, 16
"""The size of the table: batch, length, channels of the scan, state."""
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384)
LONGEST = {"transformers": 1024}
"""Beyond it a single backward pass takes minutes: that of its slices is quadratic in length."""


# --- one scan


def operands(batch: int, length: int, dim: int, state: int) -> list[Tensor]:
    """u, raw dt, a, b, c, skip, z, dt_bias, as a trained Mamba has them in size."""
    torch.manual_seed(0)
    along, inner = (batch, length, dim), (batch, length, state)
    tensors = [torch.randn(along), torch.randn(along) - 3, -16 * torch.rand(dim, state) - 0.1]
    tensors += [torch.randn(inner), torch.randn(inner), torch.ones(dim), torch.randn(along)]
    return [x.requires_grad_() for x in [*tensors, torch.zeros(dim)]]


def scan(name: str, length: int = L, batch: int = B) -> Callable[[], Tensor]:
    """The same operation by one implementation: a call gives y (b, l, d)."""
    u, dt, a, b, c, skip, z, bias = operands(batch, length, D, N)
    if name in ("numba", "chunked"):
        (kernel,) = [k for k in zoo.load().mixers["mamba"].kernels if k.name == name]
        return lambda: kernel.run(u, dt, a, b, c, skip, z, bias)[0]
    if name == "mambapy":
        from mambapy.mamba import MambaBlock, MambaConfig

        block = MambaBlock(MambaConfig(d_model=D // 2, n_layers=1, d_state=N))
        step = F.softplus(dt.detach() + bias.detach()).requires_grad_()
        return lambda: block.selective_scan(u, step, a, b, c, skip)
    from transformers.models.mamba.modeling_mamba import mamba_selective_scan as dispatcher

    last = [x.detach().mT.contiguous().requires_grad_() for x in (u, dt, b, c, z)]
    slow, rest = dispatcher.__wrapped__, {"delta_bias": bias, "delta_softplus": True}

    def transformers() -> Tensor:
        u, dt, b, c, z = last
        y: Tensor | tuple[Tensor, ...] = slow(u, dt, a, b, c, skip, z, **rest)
        return y[0] if isinstance(y, tuple) else y

    return transformers


def attention(length: int = L, batch: int = B) -> Callable[[], Tensor]:
    """Causal attention of the same width by torch's own kernel, 4 heads."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(batch, 4, length, D // 4).requires_grad_() for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)


def duality(name: str) -> Callable[[], Tensor]:
    """State space duality with 8 heads of 64 channels and a state of 128, dt and skip included."""
    torch.manual_seed(0)
    heads, width, state = 8, 64, 128
    x, dt = torch.randn(B, L, heads, width), torch.randn(B, L, heads) - 3
    a, skip, bias = -torch.rand(heads) - 1, torch.ones(heads), torch.zeros(heads)
    b, c = torch.randn(B, L, 1, state), torch.randn(B, L, 1, state)
    x, dt, a, b, c, skip, bias = (t.requires_grad_() for t in (x, dt, a, b, c, skip, bias))
    if name != "transformers":
        (kernel,) = [k for k in zoo.load().mixers["mamba2"].kernels if k.name == name]
        return lambda: kernel.run(x, dt, a, b, c, skip, bias)[0]
    from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan as dispatcher

    slow = dispatcher.__wrapped__

    def transformers() -> Tensor:
        y: Tensor | tuple[Tensor, ...]
        y = slow(x, dt, a, b, c, chunk_size=256, D=skip, dt_bias=bias, dt_softplus=True)
        return y[0] if isinstance(y, tuple) else y

    return transformers


# --- whole mixers


def step(module: nn.Module, dim: int) -> Side:
    """A training step: forward, backward, AdamW."""
    torch.manual_seed(0)
    x, optimizer = torch.randn(B, L, dim), torch.optim.AdamW(module.parameters(), lr=1e-3)

    def train() -> None:
        y = module(x)
        loss = (y[0] if isinstance(y, tuple) else y).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return train


def products(module: nn.Module) -> Side:
    """The linear maps of a mixer alone, forward and backward: what no scan can save."""
    maps = [each for each in module.modules() if isinstance(each, nn.Linear)]
    inputs = [torch.randn(B, L, each.in_features).requires_grad_() for each in maps]

    def run() -> None:
        for each, x in zip(maps, inputs, strict=True):
            y = each(x)
            torch.autograd.backward(y, torch.ones_like(y))

    return run


def mamba_pair(dim: int) -> dict[str, nn.Module]:
    """Ours and mambapy's block, same weights."""
    from mambapy.mamba import MambaBlock, MambaConfig

    theirs = MambaBlock(MambaConfig(d_model=dim, n_layers=1, d_state=N))
    ours = zoo.load().mixers["mamba"](dim)
    ours.load_state_dict(theirs.state_dict())
    return {"ours": ours, "mambapy": theirs}


def mamba2_pair(dim: int, heads: int, state: int) -> dict[str, nn.Module]:
    """Ours and transformers' mixer, same weights."""
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    config = Mamba2Config(
        hidden_size=dim, num_heads=heads, head_dim=2 * dim // heads, state_size=state, n_groups=1
    )
    theirs = Mamba2Mixer(config, layer_idx=0)
    options = {"state": state, "head_dim": 2 * dim // heads, "dt_limit": None}
    ours = zoo.load().mixers["mamba2"](dim, **options)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    return {"ours": ours, "transformers": theirs}


# --- the sections of the report


def scans(rounds: int) -> Iterator[dict[str, Any]]:
    """Forward, and forward with backward, of one selective scan.

    transformers' backward pass takes half a minute: it has turns with ours alone, and few.
    """
    for what, kind in (("forward", forward), ("forward+backward", both)):
        quick = ("numba", "chunked", "mambapy")
        seconds = in_turns({name: kind(scan(name)) for name in quick}, rounds)
        few = 2 if kind is both else rounds
        slow = in_turns({name: kind(scan(name)) for name in ("numba", "transformers")}, few, warm=1)
        dual = ("numba", "chunked", "transformers")
        again = in_turns({name: kind(duality(name)) for name in dual}, rounds)
        for name in dual:
            yield {
                "row": f"state space duality, {what}",
                "side": name,
                "ms": 1e3 * median(again[name]),
                "ours is faster": ratio(again, name, "numba"),
            }
        for name in (*quick, "transformers"):
            turns = slow if name == "transformers" else seconds
            yield {
                "row": f"selective scan, {what}",
                "side": name,
                "ms": 1e3 * median(turns[name]),
                "ours is faster": ratio(turns, name, "numba"),
            }


def mixers(rounds: int) -> Iterator[dict[str, Any]]:
    """Training steps of whole mixers."""
    pairs = {
        "mamba, dim 128": (128, mamba_pair(128)),
        "mamba, dim 256": (256, mamba_pair(256)),
        "mamba2, dim 256, 8 heads, n 128": (256, mamba2_pair(256, 8, 128)),
        "mamba2, dim 128, 8 heads, n 64": (128, mamba2_pair(128, 8, 64)),
    }
    for row, (dim, pair) in pairs.items():
        sides = {name: step(module, dim) for name, module in pair.items()}
        sides["its linear maps alone"] = products(pair["ours"])
        seconds = in_turns(sides, rounds)
        for name in sides:
            yield {
                "row": f"training step, {row}",
                "side": name,
                "ms": 1e3 * median(seconds[name]),
                "ours is faster": ratio(seconds, name, "ours"),
            }


@torch.no_grad()
def decoding(rounds: int) -> Iterator[dict[str, Any]]:
    """One token after so many, at batch 1 and dim 256."""
    for name in ("mamba", "mamba2", "mamba3", "s4", "s4d", "s5", "lru", "h3"):
        torch.manual_seed(0)
        mixer = zoo.load().mixers[name](256).eval()
        x, sides = torch.randn(1, 256), {}
        for past in (64, 1024, 8192):
            _, state = mixer.prefill(torch.randn(1, past, 256))
            sides[str(past)] = partial(mixer.step, x, state)
        seconds = in_turns(sides, 40 * rounds)
        for after, each in seconds.items():
            flat = median(each) / median(seconds["64"])
            yield {"row": f"decode, {name}", "after": int(after), "ms": 1e3 * median(each)} | {
                "against 64": flat
            }


def peak(name: str, length: str, batch: str, kind: str) -> int:
    """Bytes beyond the operands, in this process."""
    make = attention if name == "attention" else partial(scan, name)
    tiny = {"forward": forward, "both": both}[kind]
    tiny(make(length=32, batch=1))()  # libraries, compiled code, thread pools
    side = tiny(make(length=int(length), batch=int(batch)))
    return peak_bytes(side)


def memory(_: int) -> Iterator[dict[str, Any]]:
    """Peak memory of forward and backward at the table's size."""
    ours = fresh(__file__, "numba", L, B, "both")
    for name in ("numba", "chunked", "mambapy", "transformers"):
        theirs = fresh(__file__, name, L, B, "both")
        yield {"row": "peak memory, forward+backward", "side": name} | {
            "MB": theirs / 1e6,
            "ours is smaller": theirs / ours,
        }


def lengths(rounds: int) -> Iterator[dict[str, Any]]:
    """Time and memory of forward and backward against length, batch 1, and fitted exponents."""
    for name in ("numba", "mambapy", "transformers", "attention"):
        reached = [length for length in LENGTHS if length <= LONGEST.get(name, LENGTHS[-1])]
        times, peaks = [], []
        for length in reached:
            call = attention(length, 1) if name == "attention" else scan(name, length, 1)
            seconds = in_turns({name: both(call)}, max(3, rounds // 2), warm=1)[name]
            times.append(median(seconds))
            peaks.append(fresh(__file__, name, length, 1, "both"))
            yield {"row": "against length", "side": name, "length": length} | {
                "ms": 1e3 * times[-1],
                "MB": peaks[-1] / 1e6,
            }
        slopes = [np.polyfit(np.log(reached), np.log(y), 1)[0] for y in (times, peaks)]
        yield {"row": "exponents", "side": name, "time": slopes[0], "memory": slopes[1]}


SECTIONS = {
    "scan": scans,
    "mixer": mixers,
    "decode": decoding,
    "memory": memory,
    "length": lengths,
}


if __name__ == "__main__":
    size = {"b": B, "l": L, "d": D, "n": N}
    report(__doc__, SECTIONS, size, peak)
