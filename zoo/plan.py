"""A plan: one resolved config, the task and the model it stands for, and the id of the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from zoo.build import Builder, layers, position_of
from zoo.errors import ZooError
from zoo.identity import digest
from zoo.keys import HOUSEKEEPING
from zoo.match import solve
from zoo.model import Backbone
from zoo.names import slug
from zoo.options import arguments
from zoo.registry import Registry
from zoo.task import Recipe, Task


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a run starts."""

    registry: Registry
    config: dict[str, Any]
    task: Task
    run_id: str

    @property
    def recipe(self) -> Recipe:
        """The training recipe with the user's changes."""
        return Recipe(**{f.name: self.config[f.name] for f in fields(Recipe)})

    @property
    def name(self) -> str:
        """`lra/listops/mamba/<run id>`: also the run's folder below $ZOO_RUNS."""
        return f"{self.config['task']['name']}/{self.config['mixer']['name']}/{self.run_id}"

    def build(self, *, causal: bool | None = None) -> Backbone:
        """The model, with weights from torch's current seed; ``causal`` overrides the plan's."""
        if causal is None:
            causal = self.config["direction"] == "causal"
        return Builder(self.registry, self.config, self.task, causal).backbone()


def plan(registry: Registry, config: Mapping[str, Any]) -> Plan:
    """Decide what the user left open; raises ZooError for what cannot be built."""
    config = {**config}
    for group in ("task", "mixer"):
        slug(config[group]["name"], group)
    task_class: Any = registry.tasks[config["task"]["name"]]
    task: Task = task_class(
        **arguments(task_class, "task", config["task"]), budget=config["budget"]
    )
    if config["match"] is None and config["dim"] is not None:
        config["match"] = "none"  # who names a width wants that width
    for key, value in asdict(task.recipe()).items():
        config[key] = value if config[key] is None else config[key]
    config["match"] = "" if config["match"] == "none" else config["match"]
    config["direction"] = _direction(registry, config, task)
    if config["match"]:
        causal = config["direction"] == "causal"
        config = solve(
            config, lambda new: Builder(registry, new, task, causal).backbone(), task.length
        )
    decided = Plan(registry, config, task, run_id(registry, config, task))
    try:
        with torch.device("meta"):  # whatever cannot be built is refused now, at no cost
            decided.build()
    except ZooError:
        raise
    except Exception as error:
        raise ZooError(
            f"{decided.name} cannot be built: {type(error).__name__}: {error}"
        ) from error
    return decided


def _direction(registry: Registry, config: Mapping[str, Any], task: Task) -> str:
    """Causal where the task asks for it or a mixer knows no other, unless that saw nothing.

    Bidirectional with a mixer that is causal only is `wrapped`.
    """
    wanted, name = config["direction"], config["task"]["name"]
    able = {e["name"]: registry.mixers[e["name"]].directions for e in layers(config)}
    both = all("bidirectional" in directions for directions in able.values())
    if wanted == "auto":
        wanted = "causal" if task.causal or not (both or task.needs_future) else "bidirectional"
    if wanted == "causal" and task.needs_future:
        raise ZooError(
            f"direction=causal: {name} ({task.protocol}) reads the first position, where a causal "
            "mixer has seen nothing; type direction=bidirectional"
        )
    if wanted != "causal" and task.causal:
        raise ZooError(
            f"direction={wanted}: {name} is predicted left to right; type direction=causal"
        )
    if wanted != "causal":
        return "bidirectional" if both else "wrapped"
    for mixer, directions in able.items():
        if "causal" not in directions:
            raise ZooError(f"direction=causal: {mixer} is bidirectional only")
    return "causal"


def run_id(registry: Registry, config: Mapping[str, Any], task: Task) -> str:
    """Hash of the config, the task's id and the code of the plugins; housekeeping has no part."""
    content = {key: value for key, value in config.items() if key not in HOUSEKEEPING}
    content["task_id"] = task.id
    content["code"] = {name: code_version(name) for name in packages(registry, config)}
    content["zoo"] = version("mixer-zoo")
    return digest(content)[:12]


def packages(registry: Registry, config: Mapping[str, Any]) -> list[str]:
    """Top-level packages of every class the run uses."""
    classes = [registry.shelves[shelf][name] for shelf, name in chosen(registry, config)]
    return sorted({cls.__module__.partition(".")[0] for cls in classes})


def chosen(registry: Registry, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(shelf, name) of everything the run takes from a shelf."""
    taken = [(f"{kind}s", config[kind]["name"]) for kind in ("task", "channel", "block")]
    for entry in layers(config):
        taken.append(("mixers", entry["name"]))
        taken.append(("positions", position_of(registry, config, entry)))
    return taken


@cache
def code_version(package: str) -> str:
    """Hash of a package's Python sources, or of its one module."""
    file = import_module(package).__file__
    if file is None:
        return "unknown"
    path = Path(file)
    sources = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    whole = sha256()
    for source in sources:
        whole.update(source.relative_to(path.parent).as_posix().encode() + b"\0")
        whole.update(source.read_bytes() + b"\0")
    return whole.hexdigest()[:12]
