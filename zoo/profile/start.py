"""From a cell's config to its profile: what it is, its id, the machine; nothing measured yet."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from zoo.build import layers
from zoo.environment import checkout, device_name, installed
from zoo.errors import ZooError
from zoo.identity import digest
from zoo.keys import HOUSEKEEPING
from zoo.plan import chosen, code_version, plan
from zoo.profile.cell import STEEP
from zoo.profile.record import SCHEMA, Machine, Profile
from zoo.profile.subject import Subject
from zoo.profile.words import Asked
from zoo.registry import Registry


def decide(registry: Registry, config: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """The config with nothing left open; raises ZooError for what cannot be built."""
    if config["task"] is not None:
        return plan(registry, config).config
    try:
        with torch.device("meta"):
            Subject(registry, {**config, "device": "meta"}, longest)
    except ZooError:
        raise
    except Exception as error:
        name = config["mixer"]["name"]
        raise ZooError(f"{name} cannot be built: {type(error).__name__}: {error}") from error
    return dict(config)


def start(registry: Registry, config: Mapping[str, Any], asked: Asked, session: str) -> Profile:
    """The profile of a decided config, with no point in it; ``session`` is that of all the call."""
    mixers = [registry.mixers[entry["name"]] for entry in layers(config)]
    families = {mixer.family for mixer in mixers}
    own = {key: value for key, value in config["mixer"].items() if key != "name"}
    return Profile(
        profile_id=identity(registry, config, asked),
        session=session,
        subject="mixer" if config["task"] is None else "model",
        task=None if config["task"] is None else config["task"]["name"],
        mixer=config["mixer"]["name"],
        options={"pattern": config["pattern"]} if config.get("pattern") else own,
        position=config["position"]["name"],
        family=families.pop() if len(families) == 1 else "hybrid",
        kernel=None,
        complexity=max((mixer.complexity for mixer in mixers), key=STEEP.__getitem__),
        dim=config["dim"],
        depth=config["depth"],
        batch=asked.batch,
        direction=config["direction"],
        params=0,
        points=[],
        machine=machine(registry, config),
    )


def identity(registry: Registry, config: Mapping[str, Any], asked: Asked) -> str:
    """Hash of the question, the code of the plugins and the device."""
    classes = [registry.shelves[shelf][name] for shelf, name in taken(registry, config)]
    packages = sorted({cls.__module__.partition(".")[0] for cls in classes})
    content = {
        "schema": SCHEMA,
        "config": {key: value for key, value in config.items() if key not in HOUSEKEEPING},
        "asked": [list(asked.lengths), asked.batch, asked.rounds, asked.limit],
        "code": {name: code_version(name) for name in packages},
        "zoo": version("mixer-zoo"),
        "torch": torch.__version__,
        "device": device_name(config["device"]),
    }
    return digest(content)[:12]


def taken(registry: Registry, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(shelf, name) of everything that is built."""
    if config["task"] is not None:
        return chosen(registry, config)
    return [("mixers", config["mixer"]["name"]), ("positions", config["position"]["name"])]


def machine(registry: Registry, config: Mapping[str, Any]) -> Machine:
    """Where it is measured; the roofs are measured when something is."""
    import zoo

    commit, dirty = checkout(Path(zoo.__file__).parent)
    offers = [registry.shelves[shelf].offers[name] for shelf, name in taken(registry, config)]
    names = {"mixer-zoo", *(offer.plugin.partition(":")[0] for offer in offers)}
    return Machine(
        device=device_name(config["device"]),
        precision=config["precision"],
        torch=torch.__version__,
        python=platform.python_version(),
        threads=torch.get_num_threads(),
        commit=commit,
        dirty=dirty,
        plugins={name: installed(name) for name in sorted(names)},
    )
