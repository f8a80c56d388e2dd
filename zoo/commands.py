"""What the longer commands do; `zoo.cli` imports this only when one is typed."""

import json
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from zoo.config import parse, resolve, values
from zoo.errors import ZooError
from zoo.registry import Registry

if TYPE_CHECKING:  # torch is imported once the words have been found good
    from zoo.names import Split
    from zoo.position import Position
    from zoo.task import Batch, Task


def run(registry: Registry, words: Sequence[str], *, multirun: bool, dry_run: bool) -> int:
    """One run here, or several in processes of their own; returns the exit code."""
    configs = resolve(registry, words, multirun=multirun)
    from zoo.plan import plan

    plans = [plan(registry, config) for config in configs]
    if dry_run:
        from zoo.report import describe

        for one in plans:
            print(describe(one))
        return 0
    from zoo.report import summarise, tell
    from zoo.runner import execute, finished, runs_folder

    runs = runs_folder()
    (asked,) = set(values(parse(registry, words)["task"])) if not multirun else {None}
    if multirun or asked not in registry.tasks:  # a suite is several runs, even a suite of one
        from zoo.grid import run_grid

        summary = run_grid(plans, runs)
        print(summarise(summary))
        return summary.exit_code
    (one,) = plans
    if finished(one, runs):
        print(f"zoo: {one.name} is finished; force=true runs it again", file=sys.stderr)
    record, code = execute(one, runs)
    print(tell(record, runs / one.name))
    return code


def check(registry: Registry, name: str) -> int:
    """Every promise of one mixer, a line each."""
    from zoo.registry import resolve as find
    from zoo.testing import report

    cls = find(name, "the command line") if ":" in name else registry.mixers[name]
    return report(cls, name, loadable(registry))


def loadable(registry: Registry) -> "dict[str, type[Position]]":
    """The positions that work; one of somebody else's that does not is no fault of the mixer."""
    found = {}
    for name in registry.positions:
        with suppress(ZooError):
            found[name] = registry.positions[name]
    return found


def sample(
    registry: Registry, words: Sequence[str], count: int, split: "Split", *, as_json: bool
) -> int:
    """Print examples of a split."""
    task = task_of(registry, words)
    task.prepare()
    batch = task.train_batch(0, 0, count) if split == "train" else next(task.batches(split, count))
    for which in range(min(count, len(batch.targets))):
        towers = [sequence(batch, task.towers * which + row) for row in range(task.towers)]
        target = batch.targets[which]
        answer: Any = target[: len(towers[0])].tolist() if target.ndim else int(target)
        text = "" if task.real else "\n  with\n".join(map(task.text, towers))
        if as_json:
            tokens = towers if task.towers > 1 else towers[0]
            print(json.dumps({"tokens": tokens, "target": answer, "text": text}))
        else:
            shown = task.text([t for t in answer if t >= 0]) if target.ndim else answer
            print(f"{text}\n  -> {shown}\n")
    return 0


def task_of(registry: Registry, words: Sequence[str]) -> "Task":
    """The one task that the words name, at the smoke budget unless they say otherwise."""
    if not any(word.startswith("task=") for word in words):
        raise ZooError(f"which task? type task=NAME; there is {', '.join(registry.tasks)}")
    # a mixer is needed for a whole config, and has no part in a task: any will do
    anyone = f"mixer={next(iter(registry.mixers))}"
    budget = [] if any(word.startswith("budget=") for word in words) else ["budget=smoke"]
    config, *more = resolve(registry, [*words, *budget, anyone], multirun=False)
    if more:
        raise ZooError(f"{words[0]} is a suite; name one task of it")
    from zoo.options import arguments

    cls: Any = registry.tasks[config["task"]["name"]]
    task: Task = cls(**arguments(cls, "task", config["task"]), budget=config["budget"])
    return task


def sequence(batch: "Batch", row: int) -> list[Any]:
    """The tokens of one row, without the padding."""
    length = batch.inputs.shape[1] if batch.lengths is None else int(batch.lengths[row])
    tokens: list[Any] = batch.inputs[row, :length].tolist()
    return tokens


def doctor(registry: Registry) -> int:
    """Device, versions, and each mixer's kernels: here, or why not."""
    import torch

    from zoo import ops
    from zoo.data.source import data_folder
    from zoo.environment import device_name, installed
    from zoo.runner import runs_folder

    device = "cuda" if torch.cuda.is_available() else "cpu"
    lines = {
        "mixer-zoo": installed("mixer-zoo"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": installed("lightning"),
        "numba": installed("numba"),
        "device": f"{device}: {device_name(device)}",
        "runs": str(runs_folder().resolve()),
        "data": str(data_folder().resolve()),
    }
    for key, value in lines.items():
        print(f"{key:10} {value}")
    probe = torch.zeros(1, 16, 64, device=device)
    owners = dict(ops.KERNELS)
    for name in registry.mixers:
        try:
            owners[name] = registry.mixers[name].kernels
        except ZooError as error:
            print(f"{name:18} does not load: {error}")
    print("\nkernels here, fastest first (in brackets: not here)")
    absent: dict[str, list[str]] = {}
    for name, kernels in owners.items():
        reasons = {kernel.name: kernel.reason(probe) for kernel in kernels}
        here = [kernel for kernel, reason in reasons.items() if reason is None]
        gone = [kernel for kernel, reason in reasons.items() if reason is not None]
        note = f" ({', '.join(gone)})" if gone else ""
        print(f"{name:18} {', '.join(here) or 'torch'}{note}")
        for kernel in gone:
            absent.setdefault(f"{kernel}: {reasons[kernel]}", []).append(name)
    if absent:
        print("\nwhy not")
    for reason, names in absent.items():
        print(f"{', '.join(names):18} {reason}")
    return 0
