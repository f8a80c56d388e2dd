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
    if config["device"] == "auto":
        config["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    elif config["device"] == "cuda" and not torch.cuda.is_available():
        raise ZooError(
            "device=cuda: torch sees no CUDA device; type device=cpu or see `zoo doctor`"
        )
    if config["budget"] == "auto":
        config["budget"] = "gpu" if config["device"] == "cuda" else "cpu"
    if config["precision"] == "auto":
        config["precision"] = "bf16" if config["device"] == "cuda" else "32"
    task_class: Any = registry.tasks[config["task"]["name"]]
    task: Task = task_class(
        **arguments(task_class, "task", config["task"]), budget=config["budget"]
    )
    for key, value in asdict(task.recipe()).items():
        config[key] = value if config[key] is None else config[key]
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
    """Causal where the task asks for it or a mixer knows no other, else bidirectional."""
    wanted = config["direction"]
    names = [layer["name"] for layer in layers(config)]
    able = {name: registry.mixers[name].directions for name in names}
    if wanted == "auto":
        both = all("bidirectional" in directions for directions in able.values())
        wanted = "bidirectional" if both and not task.causal else "causal"
    if wanted == "bidirectional" and task.causal:
        raise ZooError(
            f"direction=bidirectional: {config['task']['name']} is predicted left to right; "
            "type direction=causal"
        )
    for name, directions in able.items():
        if wanted not in directions:
            raise ZooError(f"direction={wanted}: {name} is {' or '.join(sorted(directions))} only")
    return str(wanted)


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
