"""Words for a person: a plan before it runs, a record after it, a grid's summary."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import OmegaConf

from zoo.plan import Plan
from zoo.record import Metric, Record

if TYPE_CHECKING:  # it trains, and so imports Lightning, which a dry run does not need
    from zoo.grid import Summary


def describe(plan: Plan) -> str:
    """The resolved config, the size of the model and the run id."""
    with torch.device("meta"):
        model = plan.build()
    params = sum(p.numel() for p in model.parameters())
    length = plan.task.length
    flops = model.flops_per_token(length)
    state = _state(model, length)
    return "\n".join(
        [
            OmegaConf.to_yaml(OmegaConf.create(plan.config)).rstrip(),
            "---",
            f"run      {plan.run_id}",
            f"task id  {plan.task.id} (protocol {plan.task.protocol})",
            f"model    {params:,} parameters, {flops:,.0f} FLOPs per token, {state}",
        ]
    )


def _state(model: Any, length: int) -> str:
    return f"{model.state_size(length):,} numbers of state at length {length:,}"


def shown(name: str, metric: Metric) -> str:
    """`accuracy 0.4123 (chance 0.1)`."""
    chance = "" if metric.chance is None else f" (chance {metric.chance:.3g})"
    return f"{name} {'-' if metric.value is None else format(metric.value, '.4f')}{chance}"


def tell(record: Record, folder: Path) -> str:
    """What came of one run, in a few lines."""
    if record.failure:
        trace = folder / "traceback.txt"
        more = f"\ntraceback {trace}" if trace.exists() and record.failure.type != "Killed" else ""
        return (
            f"{record.status} in {record.failure.phase}: {record.failure.message}{more}\n"
            f"record   {folder / 'record.json'}"
        )
    cost = record.efficiency
    tests = [shown(n, m) for n, m in record.metrics.items() if m.split == "test"]
    lines = [f"test     {', '.join(tests)}"]
    if record.curve:
        curve = ", ".join(f"{length}: {value:.3f}" for length, value in record.curve.items())
        lines.append(f"length   {record.headline} at {curve}")
    costs = [f"{cost.params:,} parameters"]
    if cost.train_tokens_per_s:
        costs.append(f"{cost.train_tokens_per_s:,.0f} tokens/s")
    if cost.peak_memory_bytes is not None:
        costs.append(f"{cost.peak_memory_bytes / 2**20:,.0f} MiB peak")
    if cost.decode_ms_per_token is not None:
        costs.append(f"{cost.decode_ms_per_token:.2f} ms per decoded token")
    lines.append(f"cost     {', '.join(costs)}; kernel {record.mixer.kernel}")
    if record.task.budget == "smoke":
        lines.append("note     budget=smoke: this shows that it runs, it is no result")
    lines.append(f"record   {folder / 'record.json'}")
    return "\n".join(lines)


def summarise(summary: "Summary") -> str:
    """Counts, the failures by name, what lacks its data, and suites averaged by protocol."""
    lines = [f"failed   {name}: {reason}" for name, reason in summary.failed.items()]
    lines += [f"missing  {reason}" for reason in dict.fromkeys(summary.missing.values())]
    lines += [f"mean     {line}" for line in aggregates(summary.records)]
    counts = {"ok": summary.ok, "skipped": summary.skipped, "failed": summary.failed}
    counts |= {"without data": summary.missing} if summary.missing else {}
    lines.append(", ".join(f"{len(names)} {outcome}" for outcome, names in counts.items()))
    return "\n".join(lines)


def aggregates(records: list[Record]) -> list[str]:
    """A suite's means per mixer, protocol and budget; nothing is averaged over what is missing.

    The means are those that have a name, as Avg5, or else one over all the tasks there are.
    """
    values: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    means: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        suite, slash, _ = record.task.name.rpartition("/")
        metric = record.metrics.get(record.headline)
        if not slash or record.status != "ok" or metric is None or metric.value is None:
            continue
        for name, tasks in (record.task.averages or {"mean": [record.task.name]}).items():
            means[suite][name].update(tasks)
        track = (suite, record.task.protocol, record.task.budget, record.headline)
        values[*track, record.mixer.name][record.task.name].append(metric.value)
    lines = []
    for (suite, protocol, budget, headline, mixer), by_task in sorted(values.items()):
        if len(by_task) == 1 < max(map(len, means[suite].values())):
            continue  # one task of a suite, which nobody would average
        told = (told_mean(name, tasks, by_task) for name, tasks in means[suite].items())
        lines.append(f"{suite} ({protocol}, {budget}) {mixer}: {headline} {', '.join(told)}")
    return lines


def told_mean(name: str, tasks: set[str], by_task: Mapping[str, list[float]]) -> str:
    """`Avg5 0.5123`, or `Avg6 none (no lra/pathx)`."""
    lacking = sorted(tasks - by_task.keys())
    if lacking:
        return f"{name} none (no {', '.join(lacking)})"
    return f"{name} {mean(mean(by_task[task]) for task in tasks):.4f}"
