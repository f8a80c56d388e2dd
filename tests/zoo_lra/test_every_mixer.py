"""Every mixer runs on every task under every protocol, and padding never changes a logit."""

from typing import get_args

import pytest
import torch

import zoo
from zoo import registry
from zoo.config import resolve
from zoo.plan import Plan, plan
from zoo_lra.protocols import Protocol

SHELVES = registry.load()
TASKS = [name for name in SHELVES.tasks if name.startswith("lra/")]
PROTOCOLS = get_args(Protocol)


def planned(task: str, mixer: str, protocol: str, *words: str) -> Plan:
    named = [f"task={task}", f"mixer={mixer}", f"task.protocol={protocol}", "budget=smoke"]
    (config,) = resolve(SHELVES, [*named, *words], multirun=False)
    return plan(SHELVES, config)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_padding_never_changes_a_logit(mixer: str, protocol: str) -> None:
    for task in ("lra/listops", "lra/retrieval"):
        one = planned(task, mixer, protocol, "match=none", "dim=16", "depth=2")
        torch.manual_seed(0)
        model = one.build()
        tokens, lengths = torch.randint(1, 15, (4, 40)), torch.tensor([40, 17, 1, 5])
        model(tokens, lengths)  # what a norm over the batch remembers is that of a batch
        model.eval()
        logits = model(tokens, lengths)
        assert logits.shape == (4 // one.task.towers, one.task.outputs)
        for row, length in enumerate(lengths.tolist()):
            tokens[row, length:] = 0
        torch.testing.assert_close(model(tokens, lengths), logits, rtol=1e-4, atol=1e-5)
        pair = slice(2, 4)
        alone = model(tokens[pair, :5], lengths[pair])
        rows = slice(1, 2) if one.task.towers == 2 else pair
        torch.testing.assert_close(alone, logits[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("task", TASKS)
def test_every_mixer_can_be_built_on_every_task(task: str, protocol: str) -> None:
    if (task, protocol) == ("lra/pathx", "nystrom"):
        with pytest.raises(zoo.ZooError, match=r"type task\.protocol="):
            planned(task, "mamba", protocol)
        return
    for mixer in SHELVES.mixers:
        one = planned(task, mixer, protocol)
        causal = "bidirectional" not in SHELVES.mixers[mixer].directions
        alone = "wrapped" if one.task.needs_future else "causal"
        assert one.config["direction"] == (alone if causal else "bidirectional")


@pytest.mark.parametrize("budget", ["cpu", "gpu"])
@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_our_protocol_gives_every_mixer_one_size(mixer: str, budget: str) -> None:
    for task in ("lra/listops", "lra/retrieval") if budget == "gpu" else ("lra/image", "lra/pathx"):
        words = [f"task={task}", f"mixer={mixer}", f"budget={budget}", "device=cpu"]
        (config,) = resolve(SHELVES, words, multirun=False)
        one = plan(SHELVES, config)
        kind, _, size = one.config["match"].partition(":")
        assert kind == "params"
        with torch.device("meta"):
            params = sum(p.numel() for p in one.build().parameters())
        assert params == pytest.approx(float(size.removesuffix("k")) * 1000, rel=0.01)
