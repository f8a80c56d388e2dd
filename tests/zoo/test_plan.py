"""Plans: what is decided before a run, its id, and sizes that are matched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo import registry
from zoo.config import resolve
from zoo.plan import Plan, code_version, plan

SHELVES = registry.load()


def planned(*words: str) -> Plan:
    (config,) = resolve(SHELVES, words, multirun=False)
    return plan(SHELVES, config)


BASE = ("task=copy", "mixer=mamba", "budget=smoke")


@pytest.mark.parametrize(
    "word",
    [
        "seed=1",
        "dim=40",
        "mixer.state=8",
        "task.symbols=9",
        "budget=cpu",
        "lr=0.01",
        "block=postnorm",
    ],
)
def test_what_can_change_a_result_changes_the_run_id(word: str) -> None:
    key = word.partition("=")[0]
    base = [w for w in BASE if w.partition("=")[0] != key]
    assert planned(*base, word).run_id != planned(*BASE).run_id


@pytest.mark.parametrize(
    "word", ["workers=2", "loggers=[]", "log_every=3", "checkpoint_every=5", "force=true"]
)
def test_housekeeping_does_not(word: str) -> None:
    assert planned(*BASE, word).run_id == planned(*BASE).run_id


def test_the_order_of_words_and_defaults_spelt_out_do_not() -> None:
    same = ("budget=smoke", "mixer.state=16", "mixer=mamba", "seed=0", "task=copy")
    assert planned(*same).run_id == planned(*BASE).run_id


def test_the_recipe_is_the_tasks_until_the_user_says_otherwise() -> None:
    one = planned(*BASE, "steps=7")
    assert one.recipe.steps == 7
    assert one.recipe.lr == one.task.recipe().lr


def test_the_code_of_a_plugin_is_part_of_the_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "zoo_changing.py"
    module.write_text("a = 1\n")
    first = code_version("zoo_changing")
    module.write_text("a = 2\n")
    code_version.cache_clear()
    assert code_version("zoo_changing") != first


def test_budget_follows_the_device() -> None:
    expected = "gpu" if torch.cuda.is_available() else "cpu"
    assert planned("task=copy", "mixer=mamba").config["budget"] == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match="no CUDA device; type device=cpu"):
        planned(*BASE, "device=cuda")


def test_what_cannot_be_built_is_refused_before_the_run() -> None:
    with pytest.raises(zoo.ZooError, match="heads"):
        planned("task=copy", "mixer=attention", "budget=smoke", "dim=30")


def size(one: Plan, kind: str) -> float:
    model = one.build()
    measures: dict[str, Any] = {
        "params": lambda: sum(p.numel() for p in model.parameters()),
        "flops": lambda: model.flops(1, one.task.length).total / one.task.length,
        "state": lambda: model.state_size(one.task.length),
    }
    return float(measures[kind]())


@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
@pytest.mark.parametrize(("kind", "goal"), [("params", 60_000), ("flops", 300_000)])
def test_match_hits_the_size_within_one_percent(mixer: str, kind: str, goal: int) -> None:
    one = planned("task=copy", f"mixer={mixer}", "budget=smoke", f"match={kind}:{goal}")
    assert size(one, kind) == pytest.approx(goal, rel=0.01)


def test_state_is_matched_where_it_can_be_and_the_nearest_is_named_where_not() -> None:
    one = planned("task=copy", "mixer=mamba", "budget=smoke", "match=state:10k")
    assert size(one, "state") == pytest.approx(10_000, rel=0.01)
    with pytest.raises(zoo.ZooError, match=r"the nearest is .* more than 1 % away"):
        planned("task=copy", "mixer=attention", "budget=smoke", "match=state:10k")


@pytest.mark.parametrize("text", ["params", "params:", "size:3k", "params:x", "params:3q"])
def test_a_match_that_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(zoo.ZooError, match="write params:200k"):
        planned(*BASE, f"match='{text}'")


@pytest.mark.parametrize(
    "word",
    ["dim=1000000000000000000000000", "channel.expand=1e300", "depth=1000000000000000000000"],
)
def test_sizes_beyond_reason_are_refused_in_words(word: str) -> None:
    with pytest.raises(zoo.ZooError):
        planned(*BASE, word)


def test_code_and_task_id_are_part_of_the_run_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(*BASE).run_id
    with monkeypatch.context() as patch:
        patch.setattr("zoo.plan.code_version", lambda package: f"other {package}")
        assert planned(*BASE).run_id != before
    monkeypatch.setattr("zoo_synthetic.copying.Copy.version", 99)
    assert planned(*BASE).run_id != before


def test_options_reach_the_mixer_as_its_annotations_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[[str, str], Path]
) -> None:
    install(
        "zoo-typed",
        "from enum import Enum\nfrom pathlib import Path\nimport zoo\n"
        "from zoo_attention.full import Attention\n"
        "class Mode(Enum):\n    A = 'a'\n    B = 'b'\n"
        "class Typed(Attention):\n"
        "    def __init__(self, dim: int, *, mode: Mode = Mode.A, file: Path = Path()) -> None:\n"
        "        super().__init__(dim)\n"
        "        assert isinstance(mode, Mode) and isinstance(file, Path), (mode, file)\n"
        "@zoo.hookimpl\ndef zoo_mixers(): return {'typed': Typed}\n",
    )
    shelves = registry.load()
    words = ["task=copy", "mixer=typed", "budget=smoke", "mixer.mode=b", "mixer.file=a/b"]
    (config,) = resolve(shelves, words, multirun=False)
    assert config["mixer"] == {"name": "typed", "mode": "b", "file": "a/b"}
    plan(shelves, config).build()
