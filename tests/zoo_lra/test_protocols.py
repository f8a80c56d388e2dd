"""The protocols cell by cell: figures typed again from the papers and configs, not from ours."""

import json
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import zoo
from zoo import registry
from zoo.config import resolve
from zoo.plan import Plan, plan
from zoo.train import rate
from zoo_lra.protocols import LIMITS, Protocol, fewer, prescribed, setting, sizes
from zoo_lra.setting import Key

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SIX: tuple[Key, ...] = ("listops", "text", "retrieval", "image", "pathfinder", "pathx")
SHELVES = registry.load()
GOLDEN = Path(__file__).parent / "ids.json"
CELLS = [
    (protocol, key)
    for protocol, key in product(PROTOCOLS, SIX)
    if (protocol, key) != ("nystrom", "pathx")
]
BUDGETS: tuple[zoo.Budget, ...] = ("smoke", "cpu", "gpu")

RECIPES: dict[tuple[Protocol, Key], dict[str, Any]] = {
    ("tay-repo", "listops"): {
        "dim": 512,
        "depth": 4,
        "steps": 5000,
        "batch_size": 32,
        "lr": 0.0015811388,
        "weight_decay": 0.1,
        "schedule": "rsqrt",
        "beta2": 0.98,
        "decay": "all",
        "clip": 0,
    },
    ("tay-repo", "text"): {
        "dim": 256,
        "depth": 4,
        "steps": 20_000,
        "batch_size": 32,
        "lr": 0.000559017,
    },
    ("tay-repo", "retrieval"): {"dim": 128, "depth": 4, "steps": 5000, "lr": 0.000559017},
    ("tay-repo", "image"): {
        "dim": 128,
        "depth": 1,
        "steps": 35_000,
        "batch_size": 256,
        "lr": 0.0005,
        "weight_decay": 0,
        "schedule": "cosine",
    },
    ("tay-repo", "pathfinder"): {
        "dim": 32,
        "depth": 4,
        "steps": 62_400,
        "batch_size": 512,
        "lr": 0.001,
    },
    ("tay-repo", "pathx"): {"dim": 32, "depth": 1, "steps": 500_000, "batch_size": 64, "clip": 1},
    ("tay-repo", "pathfinder64"): {"dim": 32, "depth": 2, "steps": 125_000, "batch_size": 256},
    ("tay-repo", "pathfinder256"): {"dim": 32, "depth": 2, "steps": 500_000, "batch_size": 32},
    ("tay-paper", "listops"): {"dim": 512, "depth": 6, "steps": 5000},
    ("tay-paper", "text"): {"dim": 512, "depth": 6, "steps": 20_000},
    ("tay-paper", "retrieval"): {"dim": 128, "depth": 4, "steps": 5000, "lr": 0.00559017},
    ("tay-paper", "image"): {"depth": 3, "lr": 0.01, "steps": 35_000},
    ("tay-paper", "pathfinder"): {"dim": 128, "depth": 4, "lr": 0.01, "steps": 62_400},
    ("s4", "listops"): {
        "dim": 256,
        "depth": 6,
        "steps": 120_000,
        "batch_size": 32,
        "lr": 0.01,
        "weight_decay": 0.05,
        "warmup": 0.1,
        "decay": "matrices",
        "clip": 0,
        "schedule": "cosine",
    },
    ("s4", "text"): {"dim": 256, "steps": 50_000, "batch_size": 16, "lr": 0.01},
    ("s4", "retrieval"): {"dim": 256, "steps": 45_960, "batch_size": 64, "lr": 0.01},
    ("s4", "image"): {"dim": 512, "steps": 180_000, "batch_size": 50, "lr": 0.01},
    ("s4", "pathfinder"): {"dim": 256, "steps": 500_000, "batch_size": 64, "lr": 0.004},
    ("s4", "pathx"): {"dim": 256, "steps": 500_000, "batch_size": 16, "lr": 0.001},
    ("nystrom", "listops"): {
        "dim": 64,
        "depth": 2,
        "steps": 5000,
        "batch_size": 32,
        "lr": 1e-4,
        "schedule": "linear",
        "weight_decay": 0,
        "warmup": 0.2,
    },
    ("nystrom", "text"): {"steps": 20_000, "batch_size": 32, "warmup": 0.4},
    ("nystrom", "retrieval"): {"steps": 30_000, "batch_size": 32},
    ("nystrom", "image"): {"steps": 35_000, "batch_size": 256, "warmup": 0.005},
    ("nystrom", "pathfinder"): {"steps": 62_400, "batch_size": 256, "warmup": 0.005},
}
PARTS: dict[tuple[Protocol, Key], dict[str, Any]] = {
    ("tay-repo", "listops"): {"length": 2000, "cls": True, "pooling": "first", "heads": 8},
    ("tay-repo", "text"): {"length": 1000, "cls": True, "heads": 4, "tokens": "bytes"},
    ("tay-repo", "retrieval"): {"cls": False, "pooling": "first", "pair": "concat"},
    ("tay-repo", "image"): {"cls": True, "shuffle": "batches", "position": "learned"},
    ("tay-repo", "pathfinder"): {"cls": False, "pooling": "mean", "position": "sinusoidal"},
    ("tay-paper", "text"): {"length": 4000, "heads": 8, "splits": "validation is test"},
    ("tay-paper", "retrieval"): {"cls": True, "pair": "nli"},
    ("s4", "text"): {"tokens": "characters", "end": True, "splits": "validation is test"},
    ("s4", "image"): {"splits": "random", "hidden": ()},
    ("s4", "listops"): {"pooling": "mean", "end": True, "length": 2048},
    ("nystrom", "text"): {"pooling": "mean", "length": 1000, "hidden": (2.0,)},
    ("zoo", "text"): {"splits": "own", "length": 4096},
    ("zoo", "listops"): {"pooling": "ends", "splits": "given"},
}
AROUND: dict[str, list[tuple[Any, ...]]] = {
    "tay-repo": [
        ("listops", 1000, "prenorm", 0.1, 1024, 8, "sinusoidal"),
        ("text", 8000, "prenorm", 0.1, 1024, 4, "sinusoidal"),
        ("retrieval", 8000, "prenorm", 0.1, 512, 4, "sinusoidal"),
        ("image", 175, "prenorm", 0.3, 128, 8, "learned"),
        ("pathfinder", 312, "prenorm", 0.2, 32, 4, "sinusoidal"),
        ("pathfinder64", 625, "prenorm", 0.1, 32, 4, "learned"),
        ("pathx", 2500, "prenorm", 0.1, 32, 2, "learned"),
        ("pathfinder256", 5000, "prenorm", 0.1, 32, 4, "learned"),
    ],
    "tay-paper": [
        ("listops", 1000, "prenorm", 0.1, 2048, 8, "sinusoidal"),
        ("text", 8000, "prenorm", 0.1, 2048, 8, "sinusoidal"),
        ("retrieval", 8000, "prenorm", 0.1, 512, 4, "sinusoidal"),
        ("image", 175, "prenorm", 0.3, 128, 4, "learned"),
        ("pathfinder", 312, "prenorm", 0.1, 128, 8, "sinusoidal"),
        ("pathx", 2500, "prenorm", 0.1, 128, 8, "learned"),
    ],
    "s4": [
        ("listops", 12_000, "postnorm", 0.0, 512, None, None),
        ("text", 5000, "prenorm", 0.0, 512, None, None),
        ("retrieval", 5000, "prenorm", 0.0, 512, None, None),
        ("image", 18_000, "postnorm", 0.1, 1024, None, None),
        ("pathfinder", 50_000, "prenorm", 0.0, 512, None, None),
        ("pathx", 50_000, "prenorm", 0.0, 512, None, None),
    ],
    "nystrom": [
        ("listops", 1000, "prenorm", 0.1, 128, 2, "learned"),
        ("text", 8000, "prenorm", 0.1, 128, 2, "learned"),
        ("retrieval", 800, "prenorm", 0.1, 128, 2, "learned"),
        ("image", 175, "prenorm", 0.1, 128, 2, "learned"),
        ("pathfinder", 312, "prenorm", 0.1, 128, 2, "learned"),
    ],
}
"""Warm-up in steps, block, dropout, hidden width of the MLP, heads, position."""


@pytest.mark.parametrize("protocol", AROUND)
def test_warm_up_and_what_is_around_a_mixer_are_what_was_prescribed(protocol: Protocol) -> None:
    made = prescribed(protocol, "paper")
    found = [
        (
            key,
            pytest.approx(one.recipe.warmup * one.recipe.steps),
            one.block["block"],
            one.block["block.dropout"],
            one.block["channel.expand"] * one.recipe.dim,
            one.heads,
            one.position,
        )
        for key, one in made.items()
    ]
    assert found == AROUND[protocol]
    norms = {one.block["block.norm"] for one in made.values()}
    assert norms == {"batch" if protocol == "s4" else "layer"}


@pytest.mark.parametrize(("protocol", "key"), RECIPES)
def test_recipe_at_paper_is_what_was_prescribed(protocol: Protocol, key: Key) -> None:
    recipe = setting(key, protocol, "paper", None).recipe
    for name, value in RECIPES[protocol, key].items():
        found = getattr(recipe, name)
        assert found == (pytest.approx(value) if isinstance(value, float) else value), name


@pytest.mark.parametrize(("protocol", "key"), PARTS)
def test_data_and_head_are_what_was_prescribed(protocol: Protocol, key: Key) -> None:
    made = setting(key, protocol, "paper", None)
    assert {name: getattr(made, name) for name in PARTS[protocol, key]} == PARTS[protocol, key]


def test_mlp_and_head_have_the_hidden_widths_of_the_originals() -> None:
    """FFN and head of google-research/long-range-arena are of the same `mlp_dim`."""
    wide = {"listops": 1024, "text": 1024, "retrieval": 512, "image": 128, "pathfinder": 32}
    for key, made in prescribed("tay-repo", "paper").items():
        if key in wide:
            dim = made.recipe.dim
            assert made.block["channel.expand"] * dim == wide[key]
            assert made.hidden[0] * dim == wide[key]
    halves = prescribed("tay-repo", "paper")["retrieval"].hidden
    assert [128 * times for times in halves] == [512, 256]


def test_warm_up_that_is_longer_than_training_never_arrives() -> None:
    """Tay et al. on Retrieval: 5,000 steps of a warm-up of 8,000; on Text it does arrive."""
    recipe = setting("retrieval", "tay-repo", "paper", None).recipe
    rates = [rate(recipe, step) for step in range(recipe.steps)]
    assert max(rates) == rates[-1] == pytest.approx(5000 / 8000, rel=1e-3)
    text = setting("text", "tay-repo", "paper", None).recipe
    assert max(rate(text, step) for step in range(0, text.steps, 50)) > 0.99
    assert rate(text, text.steps - 1) == pytest.approx((8000 / 20_000) ** 0.5, rel=1e-3)


def test_path_x_is_refused_where_nobody_ran_it() -> None:
    with pytest.raises(zoo.ZooError, match=r"nystrom has no Path-X .* type task.protocol=zoo or"):
        setting("pathx", "nystrom", "cpu", None)
    others = ",".join(f"lra/{key}" for key in SIX[:-1])
    with pytest.raises(zoo.ZooError, match=f"for the rest of the suite -m task={others}"):
        planned("task=lra", "mixer=mamba", "task.protocol=nystrom")
    with pytest.raises(zoo.ZooError, match=r"s4 has no Pathfinder of 64 x 64.*zoo or tay-repo$"):
        setting("pathfinder64", "s4", "cpu", None)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize(("protocol", "key"), [c for c in CELLS if c[0] != "zoo"])
def test_smaller_budget_follows_the_one_rule(
    protocol: Protocol, key: Key, budget: zoo.Budget
) -> None:
    whole, small = (setting(key, protocol, b, None) for b in ("paper", budget))
    limit, old, new = LIMITS[budget], whole.recipe, small.recipe
    assert new.steps <= min(old.steps, limit.steps)
    assert new.dim == min(old.dim, limit.width)
    assert new.depth == min(old.depth, limit.depth)
    assert small.length == (min(whole.length, limit.text) if whole.tokens else whole.length)
    rows = 2 if key == "retrieval" else 1
    assert 1 <= new.batch_size <= old.batch_size
    assert new.batch_size == 1 or new.batch_size * rows * small.length <= limit.tokens
    assert (new.lr / old.lr) ** 2 == pytest.approx(new.batch_size / old.batch_size)
    same = ("schedule", "warmup", "weight_decay", "beta2", "decay", "clip")
    assert all(getattr(new, name) == getattr(old, name) for name in same)
    kept = ("pooling", "hidden", "pair", "cls", "tokens", "scale", "splits", "shuffle", "block")
    assert all(getattr(small, name) == getattr(whole, name) for name in kept)
    if small.heads and new.dim < old.dim:
        assert new.dim % small.heads == 0
        assert new.dim // small.heads >= 16


@pytest.mark.parametrize("task", ["listops", "pathfinder", "pathx"])
def test_a_data_seed_is_what_a_generator_can_hold(task: str) -> None:
    with pytest.raises(zoo.ZooError, match=rf"data_seed={2**63}: should be less than {2**63}"):
        planned(f"task=lra/{task}", "mixer=mamba", f"task.data_seed={2**63}")
    planned(f"task=lra/{task}", "mixer=mamba", "budget=smoke", f"task.data_seed={2**63 - 1}")


def test_heads_are_for_attention_and_its_like_alone() -> None:
    """An SSM's heads are another thing: they divide its inner width, and are its own affair."""
    asked = setting("listops", "tay-repo", "paper", None)
    heads = [asked.around(SHELVES.mixers[m]).get("mixer.heads") for m in ("attention", "mamba2")]
    assert heads == [8, None]


def test_heads_shrink_to_the_most_that_are_sixteen_wide() -> None:
    assert [fewer(8, dim) for dim in (32, 64, 128, 256, 96, 20)] == [2, 4, 8, 8, 6, 1]


def test_given_length_stands_over_the_protocols() -> None:
    assert setting("text", "tay-paper", "paper", 2000).length == 2000
    assert setting("text", "tay-paper", "smoke", 2000).length == 2000
    assert setting("text", "zoo", "smoke", 2000).length == 2000


def test_small_budgets_take_the_first_examples_and_large_ones_all() -> None:
    counts: dict[zoo.Split, int] = {"train": 45_000, "valid": 5000, "test": 10_000}
    assert sizes(counts, "gpu", 1024) == sizes(counts, "paper", 1024) == counts
    assert sizes(counts, "cpu", 1024) == {"train": 40_000, "valid": 500, "test": 1000}
    assert sizes(counts, "cpu", 8192) == sizes(counts, "cpu", 1024)
    assert sizes(counts, "cpu", 16_384) == {"train": 4000, "valid": 50, "test": 100}
    assert sizes(counts, "gpu", 16_384) == counts
    assert sizes(counts, "smoke", 16_384) == {"train": 100, "valid": 5, "test": 20}
    assert sizes({"test": 7}, "cpu", 1024) == {"test": 7}


def test_our_own_protocol_gives_every_mixer_one_recipe_and_one_size() -> None:
    for key, budget in product(SIX, ("cpu", "gpu", "paper")):
        made = setting(key, "zoo", budget, None)  # type: ignore[arg-type]
        assert made.recipe.match.startswith("params:")
        assert not made.block
        assert made.splits in ("given", "own")
        assert made.shuffle == "examples"


def planned(*words: str) -> Plan:
    (config,) = resolve(SHELVES, words, multirun=False)
    return plan(SHELVES, config)


@pytest.mark.parametrize(
    ("protocol", "key", "mixer"),
    [
        (*cell, mixer)
        for cell, mixer in product(CELLS, ["attention", "mamba", "s4"])
        if mixer != "s4" or cell in [("s4", "pathx"), ("tay-repo", "image")]
    ],
)
def test_every_protocol_of_every_task_builds(protocol: Protocol, key: Key, mixer: str) -> None:
    words = (f"task=lra/{key}", f"mixer={mixer}", f"task.protocol={protocol}", "budget=paper")
    made = planned(*words, "match=none", "dim=64")
    made_of, asked = made.config, setting(key, protocol, "paper", None)
    alone = protocol == "s4" and mixer in ("mamba", "s4")
    assert made_of["depth"] == asked.recipe.depth
    assert (
        made_of["direction"]
        == {
            "attention": "bidirectional",
            "s4": "bidirectional",
            "mamba": "wrapped" if made.task.needs_future else "causal",
        }[mixer]
    )
    if protocol != "zoo":
        assert made_of["channel"]["name"] == ("none" if alone else "mlp")
        assert made_of["block"] == {
            "name": asked.block["block"],
            "norm": asked.block["block.norm"],
            "dropout": asked.block["block.dropout"],
        }
    if mixer == "attention" and asked.heads:
        assert made_of["mixer"]["heads"] == asked.heads
    if mixer == "attention" and asked.position:
        assert made_of["position"]["name"] == asked.position
    if mixer != "attention":
        assert made_of["position"]["name"] == "none"
    if key == "pathx" and protocol == "s4" and mixer == "s4":
        assert made_of["mixer"]["dt_min"] == 0.0001


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data at all: an id must not need them."""
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))


def identities() -> dict[str, dict[str, str]]:
    """Every task's id by protocol, budget and task."""
    return {
        f"{protocol} {budget}": {
            key: SHELVES.tasks[f"lra/{key}"](budget=budget, protocol=protocol).id  # type: ignore[call-arg]
            for key in SIX
            if (protocol, key) in CELLS
        }
        for protocol, budget in product(PROTOCOLS, (*BUDGETS, "paper"))
    }


@pytest.mark.usefixtures("empty")
def test_ids_are_those_of_the_records_there_are() -> None:
    """A change here makes every record of that task another's: make it on purpose or not at all."""
    assert identities() == json.loads(GOLDEN.read_text())


@pytest.mark.usefixtures("empty")
def test_no_two_protocols_budgets_or_tasks_share_an_id() -> None:
    ids = Counter(one for cell in identities().values() for one in cell.values())
    assert len(ids) == 4 * len(CELLS)


@pytest.mark.parametrize("budget", ["smoke", "cpu", "paper"])
@pytest.mark.parametrize("key", SIX)
def test_a_model_is_at_most_a_tenth_larger_than_the_papers_transformer(
    key: Key, budget: str
) -> None:
    words = [f"task=lra/{key}", "task.protocol=tay-paper", f"budget={budget}", "device=cpu"]

    def size(*more: str) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in planned(*words, *more).build().parameters())

    limit = 1.1 * size("mixer=attention", "match=none")
    assert planned(*words, "mixer=attention").recipe.match == f"atmost:params:{int(limit)}"
    assert size("mixer=attention") == size("mixer=attention", "match=none")
    natural, made = size("mixer=mamba2", "match=none"), size("mixer=mamba2")
    if key == "pathx":  # the Transformer's table of 16,384 positions outweighs all else
        assert made == natural <= limit
    else:
        assert 0.98 * limit <= made <= limit < natural
