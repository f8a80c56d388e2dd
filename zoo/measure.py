"""What a model costs, measured on the model that was trained: FLOPs, latency, decoding, state."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median, quantiles
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from zoo import memory
from zoo.build import layers
from zoo.count import count
from zoo.errors import Killed, ZooError
from zoo.evaluate import precision_context
from zoo.model import Backbone, state_bytes
from zoo.names import Budget
from zoo.plan import Plan
from zoo.record import Efficiency, FlopsPart, Spread

T = TypeVar("T")
FORWARD: dict[Budget, tuple[int, ...]] = {
    "smoke": (256, 1024),
    "cpu": (256, 512, 1024, 2048, 4096),
    "gpu": (256, 512, 1024, 2048, 4096, 8192, 16384),
    "paper": (256, 512, 1024, 2048, 4096, 8192, 16384),
}
"""Five lengths over a decade are the least that an exponent can be fitted to."""
DECODE: dict[Budget, tuple[int, ...]] = {
    "smoke": (64, 256),
    "cpu": (64, 256, 1024),
    "gpu": (64, 256, 1024),
    "paper": (64, 256, 1024),
}
REPEATS = 9
TIMED = 64  # decoding steps whose median is the latency


def efficiency(
    plan: Plan, model: Backbone, between: Callable[[], None]
) -> tuple[Any, dict[str, str]]:
    """The record's Efficiency without the figures of training, and why a null is null."""
    missing: dict[str, str] = {}
    budget: Budget = plan.config["budget"]
    model.eval()

    def attempt(name: str, figure: Callable[[], T], otherwise: T) -> T:
        """A figure, or why there is none: the run is trained and tested, and stays so."""
        between()
        try:
            return figure()
        except Killed:
            raise
        except Exception as error:
            missing[f"efficiency.{name}"] = str(error).partition("\n")[0] or type(error).__name__
            return otherwise

    forward = {
        length: attempt(
            f"forward_ms.{length}",
            partial(forward_ms, model, length, plan.config["precision"]),
            None,
        )
        for length in FORWARD[budget]
    }
    carried: dict[int, int] = {}
    decode = attempt(
        "decode_ms_per_token",
        lambda: decoding(plan, model, DECODE[budget], between, carried),
        None,
    )
    if decode is None:
        reason = missing["efficiency.decode_ms_per_token"]
        gone = [length for length in DECODE[budget] if length not in carried]
        missing |= {f"efficiency.state_bytes.{length}": reason for length in gone}
    return Efficiency(
        params=sum(p.numel() for p in model.parameters()),
        flops_per_token=attempt("flops_per_token", lambda: flops_per_token(plan), FlopsPart()),
        forward_ms={length: spread for length, spread in forward.items() if spread},
        decode_ms_per_token=decode,
        state_bytes=carried,
    ), missing


def example(model: Backbone, shape: tuple[int, ...]) -> Tensor:
    """Random inputs of a shape (b, l) or (b,), token ids or reals."""
    device = model.norm.weight.device
    if model.real:
        return torch.randn(*shape, model.embed.weight.shape[1], device=device)
    return torch.randint(model.embed.weight.shape[0], shape, device=device)


@torch.no_grad()
def flops_per_token(plan: Plan) -> FlopsPart:
    """Of a forward pass at the task's length: by closed form, and by torch's counter.

    Counted on the meta device, where attention is not hidden in a CPU kernel that counts 0.
    """
    length = plan.task.length
    with torch.device("meta"):
        model = plan.build().eval()
    inputs = example(model, (model.towers, length))
    counted = count(lambda: model(inputs))
    return FlopsPart(
        closed_form=model.flops_per_token(length),
        counted=counted.flops / inputs.shape[:2].numel(),
        uncounted=list(counted.uncounted),
    )


@torch.no_grad()
def forward_ms(model: Backbone, length: int, precision: str) -> Spread:
    """Median and interquartile range of one forward pass of one example, in milliseconds."""
    inputs = example(model, (model.towers, length))
    timer = Timer(
        "model(inputs)",
        globals={"model": model, "inputs": inputs},
        num_threads=torch.get_num_threads(),
    )
    with precision_context(inputs.device, precision):
        timer.timeit(2)  # caches and kernels are warm after these
        times = [timer.timeit(1).mean * 1e3 for _ in range(REPEATS)]
    low, middle, high = quantiles(times, n=4)
    return Spread(median=middle, iqr=high - low)


@torch.no_grad()
def decoding(
    plan: Plan,
    model: Backbone,
    lengths: tuple[int, ...],
    between: Callable[[], None],
    carried: dict[int, int],
) -> float:
    """Milliseconds per token of decoding one sequence, median of the last steps of the longest.

    ``carried`` receives the bytes of the state at each length as it is reached. A model that was
    trained in both directions is measured in its causal form, same sizes. Raises ZooError where a
    mixer does not decode.
    """
    if plan.config["direction"] != "causal":
        for entry in layers(plan.config):
            if "causal" not in plan.registry.mixers[entry["name"]].directions:
                raise ZooError(f"{entry['name']} is bidirectional only: it does not decode")
        model = plan.build(causal=True).to(model.norm.weight.device).eval()
    state, seconds = model.initial_state(1), []
    inputs = example(model, (max(lengths), 1))
    cuda = inputs.device.type == "cuda"
    with precision_context(inputs.device, plan.config["precision"]):
        for done, token in enumerate(inputs, start=1):
            if done % TIMED == 0:
                between()
            start = time.perf_counter()
            _, state = model.step(token, state)
            if cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
            if done in lengths:
                carried[done] = state_bytes(state)
    return median(seconds[-TIMED:]) * 1e3


class Peak:
    """Bytes at the peak of a block of code above what was there before it."""

    bytes: int | None = None
    reason: str | None = None
    used: ClassVar[bool] = False
    """Whether this process has measured one already."""


@contextmanager
def peak_memory(device: str) -> Iterator[Peak]:
    """On a GPU what torch allocated; on Linux the growth of the process's resident memory.

    The latter counts what libraries touch for the first time, some 20 MiB, and means nothing in a
    process that has trained before, whose freed memory is used again: it is then not given.
    """
    peak = Peak()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated() - before
        return
    if Peak.used:
        peak.reason = "this process has trained before; a fresh one tells (`zoo run`)"
        yield peak
        return
    Peak.used = True
    if not memory.forget_peak():
        peak.reason = "the peak of resident memory is only known on Linux"
        yield peak
        return
    resident = memory.resident()
    yield peak
    peak.bytes = max(0, memory.peak() - resident)
