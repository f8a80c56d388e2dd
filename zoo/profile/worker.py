"""One cell at one length in a process of its own: does one thing whenever it is asked.

`python -m zoo.profile.worker` reads a request a line as JSON and answers each with a line. It
computes nothing unasked, so that a worker that waits takes nothing from the one whose turn it is.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from zoo import memory
from zoo.count import count, least
from zoo.errors import ZooError
from zoo.model import state_bytes
from zoo.profile import energy
from zoo.profile.peak import bandwidth, matmul_flops
from zoo.profile.subject import Subject
from zoo.registry import load
from zoo.verdict import verdict

Answer = dict[str, Any]
KEPT = 2**30
"""Bytes up to which what a call frees stays with the worker while others have their turn."""
TINY = (48, 64)
"""Lengths that load libraries and compile kernels; two, so that what is compiled for one length is
compiled for any before anything is measured."""
STEPS = 8
"""Tokens decoded in one timed call, each after the same past."""
SHORT = 0.2
"""Seconds under which a call is made once untimed before: its turn finds the caches cold."""
SHORT_LARGE = 2.0
"""The same of one that takes more than is kept: its turn finds no memory at hand."""
LEAST_ENERGY = 0.5
"""Seconds of calls that an energy counter, which ticks about every millisecond, can resolve."""


class Worker:
    """Answers requests; what was built and reached stays for the next."""

    subject: Subject
    inputs: torch.Tensor
    calls: Mapping[str, Callable[[], object]]
    most = 0
    """Bytes that a call was seen to take."""

    def probe(self, device: str, precision: str) -> Answer:
        """The most that this device does: a large product and a large copy."""
        return {
            "matmul_flops": matmul_flops(device, precision),
            "bandwidth": bandwidth(device),
            "threads": torch.get_num_threads(),
        }

    def build(self, config: Mapping[str, Any], batch: int, length: int, longest: int) -> Answer:
        """The module and its input, warm."""
        self.subject = subject = Subject(load(), config, longest)
        for tiny in TINY:
            warm = subject.inputs(1, min(tiny, longest))
            subject.forward(warm)
            subject.train(warm)
        subject.module.zero_grad(set_to_none=True)
        self.inputs = subject.inputs(batch, length)
        self.token = self.inputs[:, 0]
        self.state: Any = None
        self.calls = {
            "forward": lambda: subject.forward(self.inputs),
            "train": lambda: subject.train(self.inputs),
            "prefill": lambda: subject.prefill(self.inputs),
            "decode": self.decode,
        }
        module = subject.module
        numbers = module.state_size(length)  # type: ignore[operator]
        return {
            "params": sum(parameter.numel() for parameter in module.parameters()),
            "flops": module.flops(len(self.inputs), length).total,  # type: ignore[operator]
            "state_closed_form": round(numbers * self.number_bytes(warm) * len(self.inputs)),
        }

    def number_bytes(self, warm: torch.Tensor) -> float:
        """Bytes that a number of the state takes, on average after a few tokens: what is narrowed
        by autocast takes fewer than 4, an id more. 4 where nothing is carried or told.
        """
        try:
            carried = state_bytes(self.subject.prefill(warm))
        except Exception:  # whoever asks for the state hears of it
            return 4
        numbers = self.subject.module.state_size(warm.shape[1])  # type: ignore[operator]
        return float(carried / (numbers * len(warm))) if numbers else 4

    def decode(self) -> None:
        """Some tokens, each the next after the input."""
        for _ in range(STEPS):
            self.subject.step(self.token, self.state)

    def clock(self, what: str) -> float:
        """Seconds of one call, or of one token of it."""
        self._wait()
        since = time.perf_counter()
        self.calls[what]()
        self._wait()
        return (time.perf_counter() - since) / (STEPS if what == "decode" else 1)

    def _wait(self) -> None:
        if self.subject.device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, what: str, last: float | None) -> Answer:
        """One timed call; ``last`` is what one took before. By then memory has been measured, and
        what is freed is kept: a call is timed as if in a loop, without the system's paging.
        """
        large = self.most >= KEPT
        memory.keep()
        try:
            if last is None or last < (SHORT_LARGE if large else SHORT):
                self.calls[what]()
            return {"seconds": self.clock(what), "kernel": self.subject.kernel}
        finally:
            if large:  # the others of this length would lack it
                memory.give_back()

    def memory(self, what: str) -> Answer:
        """Bytes at the peak of one call above what was there before it, and its seconds."""
        self.subject.module.zero_grad(set_to_none=True)
        gc.collect()
        if self.subject.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            seconds = self.clock(what)
            told = {"seconds": seconds, "kernel": self.subject.kernel}
            return {"bytes": torch.cuda.max_memory_allocated() - before, **told}
        memory.give_back()
        known = memory.forget_peak()
        before = memory.resident() if known else 0
        seconds = self.clock(what)
        told = {"seconds": seconds, "kernel": self.subject.kernel}
        if not known:
            reason = "the peak of resident memory is only known on Linux"
            return {"bytes": None, "untold": reason, **told}
        grown = max(0, memory.peak() - before)
        self.most = max(self.most, grown)
        return {"bytes": grown, **told}

    def reach(self) -> Answer:
        """The state after the input, kept for decoding; its bytes and the seconds of prefill."""
        self._wait()
        since = time.perf_counter()
        self.state = self.subject.prefill(self.inputs)
        self._wait()
        return {"bytes": state_bytes(self.state), "seconds": time.perf_counter() - since}

    def count(self) -> Answer:
        """Operations and bytes of a forward pass, on the meta device."""
        since = time.perf_counter()
        module = self.subject.on_meta()
        inputs = self.inputs.to("meta")
        with torch.no_grad():
            counted = count(lambda: module(inputs))
        return {
            "flops_counted": counted.flops,
            "uncounted": list(counted.uncounted),
            "moved_bytes": counted.moved,
            "least_bytes": least(module, inputs),
            "seconds": time.perf_counter() - since,
        }

    def energy(self, last: float) -> Answer:
        """Joules of a forward pass, over as many as the counter can resolve."""
        try:
            meter = energy.meter(self.subject.device.type)
        except energy.Untold as why:
            return {"joules": None, "untold": str(why)}
        times = max(1, int(LEAST_ENERGY / last) + 1)
        before = meter()
        for _ in range(times):
            self.calls["forward"]()
        self._wait()
        return {"joules": (meter() - before) / times}


@contextmanager
def bounded(allowance: int | None) -> Iterator[None]:
    """No more than so many bytes more, so that a machine without them refuses us and lives on."""
    if allowance is None:
        yield
        return
    import resource  # Linux, where memory.available() tells an allowance, has it

    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory.private() + allowance, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def failure(error: Exception) -> Answer:
    """What came of a request that failed: the kind of miss, and why."""
    status, _ = verdict(error, None)
    text = next(iter(str(error).strip().splitlines()), type(error).__name__)
    short = any(word in str(error) for word in ("bad_alloc", "out of memory", "ould not create a"))
    if status == "oom" or short:
        return {"miss": {"kind": "oom", "reason": text}}
    if isinstance(error, ZooError):
        return {"miss": {"kind": "refused", "reason": text}}
    return {"miss": {"kind": "failed", "reason": f"{type(error).__name__}: {text}"}}


def main() -> None:
    """Answer until there are no more requests; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        allowance, name = request.pop("allowance", None), request.pop("do")
        try:
            with bounded(allowance):
                answer = getattr(worker, name)(**request)
        except Exception as error:
            answer = failure(error)
            del error
            gc.collect()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
