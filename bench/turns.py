"""Measuring side by side: in turns within one process, and memory in a fresh one."""

import argparse
import gc
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from zoo import memory
from zoo.profile.growth import Growth
from zoo.profile.growth import growth as fit

Side = Callable[[], object]
Row = dict[str, Any]
Section = Callable[[int], Iterator[Row]]


def in_turns(sides: Mapping[str, Side], rounds: int, warm: int = 2) -> dict[str, list[float]]:
    """Seconds of each side in each round, after ``warm`` rounds that nobody counts."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for done in range(-warm, rounds):
        for name, side in sides.items():
            since = time.perf_counter()
            side()
            if done >= 0:
                seconds[name].append(time.perf_counter() - since)
    return seconds


def ratio(seconds: Mapping[str, list[float]], theirs: str, ours: str) -> float:
    """How many times faster we are: the median over the rounds of the ratio within a round."""
    return median(a / b for a, b in zip(seconds[theirs], seconds[ours], strict=True))


def peak_bytes(side: Side) -> int:
    """By how much the resident memory of this process grew at most while ``side`` ran.

    Linux only. For a process that did nothing large before: memory that an earlier call gave back
    to the allocator would be used again unseen.
    """
    gc.collect()
    if not memory.forget_peak():
        raise OSError("the peak of resident memory is only known on Linux")
    before = memory.resident()
    side()
    return memory.peak() - before


def forward(call: Callable[[], Tensor]) -> Side:
    """Without gradients."""

    @torch.no_grad()
    def run() -> object:
        return call()

    return run


def both(call: Callable[[], Tensor]) -> Side:
    """Forward and backward."""
    return lambda: torch.autograd.backward(call().sum())


def fresh(file: str, *words: object) -> int:
    """What ``python file --peak words`` prints: bytes measured in a process of its own."""
    command = [sys.executable, file, "--peak", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def growth(lengths: Sequence[int], values: Sequence[float]) -> float:
    """The exponent p of overhead + c n^p as `zoo profile` fits it; NaN where there is none."""
    found = fit(lengths, values)
    return found.exponent if isinstance(found, Growth) else nan


def report(doc: str, sections: Mapping[str, Section], size: Row, peak: Callable[..., int]) -> None:
    """The command line of a bench: a line per measurement, all kept as JSON if asked."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=list(sections))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        print(peak(*asked.peak))
        return
    stamp = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "size": size,
    }
    print(" ".join(f"{key} {value}" for key, value in stamp.items()))
    rows = []
    if asked.json and asked.json.exists():  # sections that are not measured anew stay
        kept = json.loads(asked.json.read_text())["rows"]
        rows = [row for row in kept if row["section"] not in asked.sections]
    for section in asked.sections:
        for row in sections[section](asked.rounds):
            rows.append({"section": section, **row})
            cells = (f"{k} {v:.3g}" if isinstance(v, float) else str(v) for k, v in row.items())
            print("  ".join(cells), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({**stamp, "rows": rows}, indent=1) + "\n")
