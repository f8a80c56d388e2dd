"""Measuring side by side: in turns within one process, and memory in a fresh one."""

import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

Side = Callable[[], object]


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
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident
    before = _resident("VmRSS")
    side()
    return _resident("VmHWM") - before


def _resident(kind: str) -> int:
    (line,) = [s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith(kind)]
    return int(line.split()[1]) * 1024
