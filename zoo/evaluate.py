"""Score a model on a split: exact means over all of its items."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch

from zoo.model import Backbone
from zoo.names import Split
from zoo.task import Batch, Tally, Task


class Score(NamedTuple):
    """A mean and the number of items it is over."""

    value: float
    n: int


def precision_context(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the run asks for it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where the model is."""
    lengths = None if batch.lengths is None else batch.lengths.to(device)
    return Batch(batch.inputs.to(device), batch.targets.to(device), lengths)


@torch.no_grad()
def evaluate(
    model: Backbone,
    task: Task,
    split: Split,
    batch_size: int,
    *,
    precision: str = "32",
    length: int | None = None,
    between: Callable[[], None] = lambda: None,
) -> dict[str, Score]:
    """Scores by metric, over a split or over the test split at one length.

    ``between`` is called after every batch; it may raise to stop.
    """
    device, training = model.norm.weight.device, model.training
    model.eval()
    totals: dict[str, Tally] = {}
    try:
        for batch in task.batches(split, batch_size, length):
            here = to_device(batch, device)
            with precision_context(device, precision):
                logits = model(here.inputs, here.lengths)
            for name, tally in task.score(logits, here).items():
                total, count = tally.total.double(), tally.count.double()
                if name in totals:
                    total, count = totals[name].total + total, totals[name].count + count
                totals[name] = Tally(total, count)
            between()
    finally:
        model.train(training)
    return {name: Score(float(t.mean), int(t.count)) for name, t in totals.items()}
