"""What a task may ask of the backbone, of the data and of the direction; pairs of sequences."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo import registry
from zoo.cli import invoke
from zoo.config import resolve
from zoo.plan import Plan, plan
from zoo.record import read
from zoo.registry import Offer

SHELVES = registry.load()


class PairHead(zoo.Head):
    """Scores the difference of two means."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        pooled = x.mean(dim=1)
        logits: Tensor = self.linear(pooled[::2] - pooled[1::2])
        return logits

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(2 * batch // 2 * self.linear.weight.numel())


class Strict(zoo.Task):
    """A protocol with a word to say about everything; two documents, are they the same?"""

    towers = 2
    max_length = 12
    inputs, outputs = 8, 2

    def __init__(
        self, *, budget: zoo.Budget = "smoke", first: bool = False, gone: bool = False
    ) -> None:
        self.budget, self.needs_future, self.gone = budget, first, gone
        self.variant = "first" if first else ""
        self.averages = {"Avg2": ("pairs/strict", "pairs/other")}  # type: ignore[misc]

    def recipe(self) -> zoo.Recipe:
        return zoo.Recipe(
            dim=8, depth=1, steps=4, batch_size=2, lr=1e-3, match="params:3k", evaluate_every=2
        )

    def head(self, dim: int) -> zoo.Head:
        return PairHead(dim)

    def backbone(self, mixer: type[zoo.Mixer]) -> Mapping[str, Any]:
        attentive = mixer.default_position != "none"
        return {
            "block": "postnorm",
            "block.norm": "batch",
            "channel": "mlp" if attentive else "swiglu",
            "channel.expand": 2.0,
            "mixer.heads": 2,
            "mixer.no_such_option": 1,
            **({"position": "sinusoidal"} if attentive else {}),
        }

    def missing(self) -> str | None:
        return "pairs/strict needs pairs: type `zoo data fetch pairs`" if self.gone else None

    def train_batch(self, seed: int, step: int, batch_size: int) -> zoo.Batch:
        source = torch.Generator().manual_seed(seed * 1000 + step)
        tokens = torch.randint(8, (2 * batch_size, 12), generator=source)
        return zoo.Batch(tokens, torch.arange(batch_size) % 2, torch.full((2 * batch_size,), 10))

    def batches(
        self, split: zoo.Split, batch_size: int, length: int | None = None
    ) -> Iterator[zoo.Batch]:
        yield self.train_batch(len(split), 0, batch_size)

    def identity(self) -> Mapping[str, Any]:
        return {"first": self.needs_future}


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is on the shelf, here and for the command line."""
    monkeypatch.setitem(SHELVES.tasks.offers, "pairs/strict", Offer("test", Strict))
    monkeypatch.setattr(registry, "load", lambda: SHELVES)


def planned(*words: str) -> Plan:
    (config,) = resolve(SHELVES, ["task=pairs/strict", "budget=smoke", *words], multirun=False)
    return plan(SHELVES, config)


def test_the_protocol_speaks_where_the_user_is_silent_and_classes_where_it_is() -> None:
    config = planned("mixer=attention").config
    assert config["block"] == {"name": "postnorm", "norm": "batch", "dropout": 0.0}
    assert (config["mixer"]["heads"], config["position"]["name"]) == (2, "sinusoidal")
    assert config["channel"]["name"] == "mlp"
    config = planned("mixer=mamba").config
    assert (config["channel"]["name"], config["position"]["name"]) == ("swiglu", "none")
    assert "heads" not in config["mixer"]


def test_the_user_speaks_last() -> None:
    config = planned("mixer=attention", "mixer.heads=1", "position=rope").config
    assert (config["mixer"]["heads"], config["position"]["name"]) == (1, "rope")
    config = planned("mixer=attention", "block=prenorm").config
    assert config["block"]["norm"] == "rms"  # the protocol's norm was for its own block
    config = planned("mixer=attention", "block.norm=layer").config
    assert config["block"] == {"name": "postnorm", "norm": "layer", "dropout": 0.0}


def test_every_layer_of_a_hybrid_gets_what_the_protocol_has_for_it() -> None:
    words = ["mixer=hybrid", "pattern=[mamba,attention,{attention:{heads:4}}]", "dim=8"]
    pattern = planned(*words).config["pattern"]
    assert [layer.get("heads") for layer in pattern] == [None, 2, 4]


@pytest.mark.parametrize("pattern", ["[mamba,attention]", "[attention,mamba]"])
def test_what_is_around_a_hybrid_does_not_depend_on_the_order_of_its_layers(pattern: str) -> None:
    config = planned("mixer=hybrid", f"pattern={pattern}", "dim=8").config
    assert (config["channel"]["name"], config["position"]["name"]) == ("mlp", "sinusoidal")


def test_a_size_is_matched_unless_the_user_names_a_width_or_none() -> None:
    def size(*words: str) -> int:
        return sum(p.numel() for p in planned("mixer=attention", *words).build().parameters())

    assert size() == pytest.approx(3000, rel=0.01)
    assert size("match=params:5k") == pytest.approx(5000, rel=0.01)
    assert planned("mixer=attention", "dim=16").config["dim"] == 16
    assert planned("mixer=attention", "match=none").config["dim"] == 8
    assert planned("mixer=attention", "match=none").config["match"] == ""


def test_a_size_at_most_changes_only_what_is_larger() -> None:
    def size(match: str) -> int:
        words = ["task=copy", "budget=smoke", "mixer=attention", f"match={match}"]
        (config,) = resolve(SHELVES, words, multirun=False)
        return sum(p.numel() for p in plan(SHELVES, config).build().parameters())

    natural = size("none")
    assert size(f"atmost:params:{natural}") == natural
    assert 0.98 * 20_000 <= size("atmost:params:20k") <= 20_000 < natural


def test_a_causal_mixer_is_wrapped_where_the_first_position_is_read() -> None:
    assert planned("mixer=mamba").config["direction"] == "causal"
    one = planned("mixer=mamba", "task.first=true")
    assert one.config["direction"] == "wrapped"
    kinds = [type(block.mixer).__name__ for block in one.build().layers]
    assert kinds == ["Bidirectional"]
    with pytest.raises(zoo.ZooError, match=r"first position.*type direction=bidirectional"):
        planned("mixer=mamba", "task.first=true", "direction=causal")


def test_a_run_over_pairs_trains_measures_and_says_its_variant(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "task=pairs/strict mixer=mamba budget=smoke task.first=true loggers=[] device=cpu"
    assert invoke(["run", *words.split()]) == 0
    (path,) = runs.rglob("record.json")
    record = read(path)
    assert record.task.name == "pairs/strict:first"
    assert record.task.averages == {"Avg2": ["pairs/strict", "pairs/other"]}
    assert record.config["direction"] == "wrapped"
    assert record.tokens == 4 * 2 * 2 * 10
    assert record.efficiency.flops_per_token.closed_form
    assert record.efficiency.forward_ms
    assert record.efficiency.state_bytes  # of the causal form
    assert record.efficiency.params == pytest.approx(3000, rel=0.01)


def test_missing_data_is_told_with_what_to_type_and_nothing_is_written(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["task=pairs/strict", "mixer=mamba", "budget=smoke", "task.gone=true"]
    assert invoke(["run", *words]) == 3
    assert "zoo data fetch pairs" in capsys.readouterr().err
    assert invoke(["run", "-m", *words, "seed=0,1"]) == 3
    told = capsys.readouterr().out
    assert told.count("zoo data fetch pairs") == 1
    assert "0 ok, 0 skipped, 0 failed, 2 without data" in told
    assert not list(runs.rglob("record.json"))


def test_a_sample_shows_both_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sample", "task=pairs/strict", "-n", "3", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["target"] for line in lines] == [0, 1, 0]
    assert [[len(tower) for tower in line["tokens"]] for line in lines] == [[10, 10]] * 3
    assert "with" in lines[0]["text"]
