"""Every mixer learns from a batch of every task: logits, loss and gradients are numbers."""

import pytest
import torch
from torch import Tensor

import zoo
from zoo import registry
from zoo.config import resolve
from zoo.plan import Plan, plan

SHELVES = registry.load()
TASKS = {
    "lra/listops": "zoo",
    "lra/text": "tay-repo",
    "lra/retrieval": "nystrom",
    "lra/image": "s4",
}


def planned(task: str, protocol: str, mixer: str) -> Plan:
    words = [f"task={task}", f"task.protocol={protocol}", f"mixer={mixer}", "budget=smoke"]
    (config,) = resolve(SHELVES, [*words, "dim=16", "depth=2"], multirun=False)
    return plan(SHELVES, config)


def drawn(task: zoo.Task) -> Tensor:
    """Two examples of 33 tokens, or pixels."""
    rows = 2 * task.towers
    return torch.randn(rows, 33, 1) if task.real else torch.randint(task.inputs, (rows, 33))


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_every_mixer_learns_from_every_kind_of_task(mixer: str, task: str) -> None:
    one = planned(task, TASKS[task], mixer)
    torch.manual_seed(0)
    model = one.build()
    inputs = drawn(one.task)
    lengths = None if one.task.real else torch.tensor([33, 7] * one.task.towers)
    batch = zoo.Batch(inputs, torch.tensor([0, 1]), lengths)
    loss = one.task.score(model(inputs, lengths), batch)["loss"].mean
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) > 10
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)
