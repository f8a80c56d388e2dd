"""A plan: one resolved config, the task and the model it stands for, and the id of the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from zoo.block import Block
from zoo.config import HOUSEKEEPING, HYBRID
from zoo.errors import ZooError
from zoo.identity import digest
from zoo.match import solve
from zoo.mixer import Mixer
from zoo.model import Backbone
from zoo.names import slug
from zoo.options import given
from zoo.position import Position
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
        return backbone(self.registry, self.config, self.task, causal=causal)


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
    options = {key: value for key, value in config["task"].items() if key != "name"}
    task_class: Any = registry.tasks[config["task"]["name"]]
    task: Task = task_class(**options, budget=config["budget"])
    for key, value in asdict(task.recipe()).items():
        config[key] = value if config[key] is None else config[key]
    config["direction"] = _direction(registry, config, task)
    if config["match"]:
        make = partial(backbone, registry, task=task, causal=config["direction"] == "causal")
        config = solve(config, make, task.length)
    with torch.device("meta"):  # whatever cannot be built is refused now, at no cost
        backbone(registry, config, task, causal=config["direction"] == "causal")
    return Plan(registry, config, task, run_id(registry, config, task))


def layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The mixers that are cycled over depth: one, or a hybrid's pattern."""
    hybrid = config["mixer"]["name"] == HYBRID
    return config["pattern"] if hybrid else [config["mixer"]]


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


def backbone(
    registry: Registry, config: Mapping[str, Any], task: Task, *, causal: bool
) -> Backbone:
    """Build the model that a complete config stands for."""
    dim, depth = config["dim"], config["depth"]
    context = {"causal": causal, "max_length": task.max_length}
    at_embedding = _embedding_position(registry, config, task)

    def make(dim: int, layer: int, depth: int) -> Block:
        chosen = layers(config)[layer % len(layers(config))]
        place = {"layer": layer, "depth": depth}
        mixer = _mixer(registry, config, chosen, dim, **context, **place)
        channel_class: Any = registry.channels[config["channel"]["name"]]
        channel = channel_class(dim, **given(channel_class, **place), **rest(config["channel"]))
        block_class: Any = registry.blocks[config["block"]["name"]]
        own = {**given(block_class, **place), **rest(config["block"])}
        block: Block = block_class(mixer, channel, dim, **own)
        return block

    return Backbone(task, dim=dim, depth=depth, blocks=make, position=at_embedding)


def rest(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a config entry, without its name."""
    return {key: value for key, value in entry.items() if key != "name"}


def _position(registry: Registry, config: Mapping[str, Any], mixer: str) -> str:
    """The position's name for one mixer: the user's word, or the mixer's own default."""
    name: str = config["position"]["name"]
    return registry.mixers[mixer].default_position if name == "auto" else name


def _factory(registry: Registry, config: Mapping[str, Any], name: str, length: int) -> Any:
    """(dim, heads) -> the position."""
    cls = registry.positions[name]
    own = rest(config["position"]) if config["position"]["name"] == name else {}
    return partial(cls, **given(cls, max_length=length), **own)


def _embedding_position(
    registry: Registry, config: Mapping[str, Any], task: Task
) -> Position | None:
    """The one position that acts on embeddings, if any mixer wants one."""
    for entry in layers(config):
        name = _position(registry, config, entry["name"])
        if registry.positions[name].place == "embedding":
            position: Position = _factory(registry, config, name, task.max_length)(config["dim"], 1)
            return position
    return None


def _mixer(
    registry: Registry,
    config: Mapping[str, Any],
    entry: Mapping[str, Any],
    dim: int,
    **context: Any,
) -> Mixer:
    """One layer's mixer, given a position of its own where that acts inside it."""
    cls, name = registry.mixers[entry["name"]], _position(registry, config, entry["name"])
    place = registry.positions[name].place
    if place not in cls.positions and not _taken_elsewhere(registry, config, place):
        able = [p for p in registry.positions if registry.positions[p].place in cls.positions]
        raise ZooError(
            f"position={name} acts on the {place}, which {entry['name']} cannot take; "
            f"it can take {', '.join(able)}"
        )
    inside = place in cls.positions and place in ("query_key", "score")
    position = _factory(registry, config, name, context["max_length"]) if inside else None
    return cls(dim, **given(cls, position=position, **context), **rest(entry))


def _taken_elsewhere(registry: Registry, config: Mapping[str, Any], place: str) -> bool:
    """Does another mixer of the hybrid take a position that acts here?"""
    return any(place in registry.mixers[entry["name"]].positions for entry in layers(config))


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
        taken.append(("positions", _position(registry, config, entry["name"])))
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
