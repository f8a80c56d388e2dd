"""On a GPU: our mixers against calling the kernel's own module, and our Triton scan against both.

    python bench/gpu.py [--size B L D] [--rounds N] [--json FILE]

A row is one layer or operation, one precision, forward alone or with backward. All sides of a row
hold the same weights and take turns in one process, timed by CUDA events; a ratio is the median
over the rounds of theirs by ours within a round: 1 is as fast, 0.97 is 3 % slower. ``gap`` is the
largest difference between outputs, as a share of the largest output. bf16 is autocast, as training
does it. What is not installed is said and left out; without a CUDA device nothing is measured.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import zoo
from turns import ratio

CALLS = 5  # between two events: one call of a small kernel is shorter than what it costs to start
MODULES = {
    "mamba": ("mamba_ssm.modules.mamba_simple", "Mamba"),
    "mamba2": ("mamba_ssm.modules.mamba2", "Mamba2"),
    "mamba3": ("mamba_ssm.modules.mamba3", "Mamba3"),
}
"""Mixer -> the authors' module, of the same parameter names."""
THEIRS = "theirs"


@dataclass(frozen=True)
class Row:
    """What is compared: (b, l, d) to an output by every side."""

    what: str
    sides: Mapping[str, Callable[[Tensor], Tensor]]


def layers(dim: int, x: Tensor) -> Iterator[Row]:
    """Every mixer that has a module of its authors, by each kernel that runs here."""
    shelf = zoo.load().mixers
    for name, (module, cls) in MODULES.items():
        torch.manual_seed(0)
        weights = shelf[name](dim).state_dict()
        sides: dict[str, Callable[[Tensor], Tensor]] = {}
        for kernel in shelf[name].kernels[:-1]:  # the last one is the sequential reference
            why = kernel.reason(x)
            if why is not None:
                print(f"{name} kernel={kernel.name}: left out, {why}")
                continue
            sides[kernel.name] = loaded(shelf[name](dim, kernel=kernel.name), weights, x)
        try:
            theirs = getattr(import_module(module), cls)(dim)
            sides[THEIRS] = loaded(theirs, weights, x)
        except Exception as error:  # extensions fail to import in many ways
            print(f"{name}: {module} is not here ({type(error).__name__}: {first_line(error)})")
        yield Row(name, sides)


def loaded(layer: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> nn.Module:
    """The same weights in every side, on the device of ``x``."""
    layer.load_state_dict(weights)
    return layer.to(x.device)


def convolution(dim: int, x: Tensor) -> Iterator[Row]:
    """The short convolution as our mixers call it, and causal_conv1d as its README does."""
    torch.manual_seed(0)
    weight = torch.randn(dim, 4, device=x.device, requires_grad=True)
    bias = torch.randn(dim, device=x.device, requires_grad=True)

    def ours(x: Tensor) -> Tensor:
        return zoo.ops.short_conv(x, weight, bias, silu=True)[0]

    def theirs(x: Tensor) -> Tensor:
        kinds = weight.to(x.dtype), bias.to(x.dtype)
        y: Tensor = fused(x.transpose(1, 2), *kinds, activation="silu").transpose(1, 2)
        return y

    sides: dict[str, Callable[[Tensor], Tensor]] = {"short_conv": ours}
    try:
        fused = import_module("causal_conv1d").causal_conv1d_fn
        sides[THEIRS] = theirs
    except Exception as error:
        print(f"causal_conv1d is not here ({type(error).__name__}: {first_line(error)})")
    yield Row("short convolution", sides)


def first_line(error: Exception) -> str:
    """The first line of what it says."""
    return str(error).partition("\n")[0]


def forward(side: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Nothing kept for a backward pass. Autocast where x is bf16, entered anew as in a step."""
    low = x.dtype == torch.bfloat16
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=low):
        return side(x)


def training(side: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Forward and backward; gradients add up in place, as they do between optimizer steps."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.dtype == torch.bfloat16):
        y = side(x)
    torch.autograd.backward(y, torch.ones_like(y))
    return y


def event() -> torch.cuda.Event:
    """One that takes the time."""
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def in_turns(calls: Mapping[str, Callable[[], Tensor]], rounds: int) -> dict[str, list[float]]:
    """Seconds of a call of each side in each round, by CUDA events, after two warm rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for done in range(-2, rounds):
        for name, call in calls.items():
            start, stop = event(), event()
            start.record()
            for _ in range(CALLS):
                call()
            stop.record()
            torch.cuda.synchronize()
            if done >= 0:
                seconds[name].append(start.elapsed_time(stop) / 1e3 / CALLS)
    return seconds


def gap(side: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The largest difference, as a share of the largest output."""
    mine, right = forward(side, x).float(), forward(theirs, x).float()
    return float((mine - right).abs().max() / right.abs().max())


def measured(row: Row, x: Tensor, low: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """A line for each side, forward alone and with backward."""
    x = x.to(torch.bfloat16) if low else x
    for kind, once in {"forward": forward, "forward+backward": training}.items():
        leaf = x.clone().requires_grad_(kind != "forward")
        calls = {name: partial(once, side, leaf) for name, side in row.sides.items()}
        seconds = in_turns(calls, rounds)
        for name, side in row.sides.items():
            line = {
                "row": row.what,
                "precision": "bf16" if low else "fp32",
                "pass": kind,
                "side": name,
                "ms": 1e3 * median(seconds[name]),
            }
            if THEIRS in row.sides and name != THEIRS:
                line["theirs_by_ours"] = ratio(seconds, THEIRS, name)
                line["gap"] = gap(side, row.sides[THEIRS], x)
            yield line


def stamp(size: list[int]) -> dict[str, Any]:
    """Where and with what."""
    versions = {}
    for package in ("torch", "triton", "mamba-ssm", "causal-conv1d"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {"device": torch.cuda.get_device_name(), "b l d": size, **versions}


def main() -> None:
    """Print a line per measurement; keep them all as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, nargs=3, default=[8, 2048, 1024], metavar=tuple("BLD"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("bench/gpu.py: no CUDA device is here; nothing was measured")
    about = stamp(asked.size)
    print(" ".join(f"{key} {value}" for key, value in about.items()))
    x = torch.randn(*asked.size, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    lines = []
    for source in (layers, convolution):
        for row in source(asked.size[2], x):
            for low in (False, True):
                for line in measured(row, x, low, asked.rounds):
                    lines.append(line)
                    cells = (f"{v:.3g}" if isinstance(v, float) else v for v in line.values())
                    print("  ".join(cells), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({**about, "rows": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
