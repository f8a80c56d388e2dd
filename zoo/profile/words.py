"""The words of `zoo profile`: those of `zoo run` that shape a model, and a few of its own.

zoo profile -m mixer=mamba,attention mixer.kernel=auto,reference length=256..65536 batch=1
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from itertools import product
from typing import Annotated, Any, get_type_hints

from pydantic import Field, PositiveInt

from zoo.config import GROUPS, HYBRID, complete, option, parse, settle, suite, values
from zoo.errors import ZooError, nearest
from zoo.keys import RunConfig
from zoo.options import check, defaults, options
from zoo.registry import Registry

OWN: Mapping[str, tuple[Any, Any]] = {
    "length": (str, "256..4096"),
    "batch": (PositiveInt, 1),
    "rounds": (Annotated[int, Field(ge=3, le=1000)], 7),
    "limit": (Annotated[float, Field(gt=0, le=86_400)], 20.0),
    "force": (bool, False),
}
"""Key -> type and default. ``limit`` is how many seconds a single call may take."""
ALONE = ("mixer", "position", "dim", "direction", "device", "precision", "seed")
"""What shapes a mixer by itself."""
AROUND = ("task", "channel", "block", "pattern", "depth", "match", "budget")
"""What shapes the model around it."""
DIM = 256
LONGEST = 2**24


@dataclass(frozen=True)
class Asked:
    """What was typed: one resolved config per cell, and how it is to be measured."""

    configs: list[dict[str, Any]]
    lengths: tuple[int, ...]
    batch: int
    rounds: int
    limit: float
    force: bool


def read(registry: Registry, words: Sequence[str], *, multirun: bool) -> Asked:
    """The words made whole; raises ZooError for any mistake."""
    own, others = _own(words)
    reached = lengths(own.pop("length"))
    given = parse(registry, others)
    _no_strangers(given)
    if "mixer" not in given:
        raise ZooError(f"which mixer? type mixer=NAME; there is {', '.join(registry.mixers)}")
    sweeps = [word for word in given.values() if word.is_sweep_override()]
    if sweeps and not multirun:
        raise ZooError(f"{sweeps[0].input_line} is several profiles; add -m for them all")
    columns = [list(values(word)) for word in given.values()]
    cells = [dict(zip(given, cell, strict=True)) for cell in product(*columns)]
    configs = [
        config
        for cell in cells
        for config in (around(registry, cell) if "task" in cell else [alone(registry, cell)])
    ]
    return Asked(configs, reached, **own)


def _own(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The keys of this command, checked and with their defaults, and the words that remain."""
    found: dict[str, Any] = {}
    others = []
    for word in words:
        key, equals, text = word.partition("=")
        known = (*OWN, *ALONE, *AROUND, *RunConfig.__dataclass_fields__)
        if equals and key.isidentifier() and key not in known:
            raise ZooError(f"no key is named {key!r}; {nearest(key, [*OWN, *ALONE, *AROUND])}")
        if key not in OWN or not equals:
            others.append(word)
            continue
        if key in found:
            raise ZooError(f"{key} is given twice; give it once")
        found[key] = check(key, OWN[key][0], text)
    return {key: found.get(key, default) for key, (_, default) in OWN.items()}, others


def _no_strangers(given: Mapping[str, Any]) -> None:
    """Raises ZooError for a key of training, or of a model where there is only a mixer."""
    for key in given:
        top = key.partition(".")[0]
        if top not in (*ALONE, *AROUND):
            able = nearest(top, [*ALONE, *AROUND, *OWN])
            raise ZooError(f"{key} has no part in a profile, which trains nothing; {able}")
        if top in AROUND and "task" not in given:
            raise ZooError(f"{key}: a mixer alone has no {top}; add task=NAME for a whole model")


def lengths(text: str) -> tuple[int, ...]:
    """`256..65536` doubles from the first as far as the last; `256,1000` is a list."""
    first, dots, last = text.partition("..")
    try:
        ends = [int(part) for part in ([first, last] if dots else text.split(","))]
    except ValueError:
        ends = []
    if not ends or min(ends) < 1 or max(ends) > LONGEST or (dots and ends[0] > ends[1]):
        raise ZooError(
            f"length={text}: write length=256..65536, which doubles, or length=256,1000,4000; "
            f"from 1 to {LONGEST}"
        )
    if not dots:
        return tuple(sorted(set(ends)))
    return tuple(ends[0] << k for k in range((ends[1] // ends[0]).bit_length()))


def around(registry: Registry, cell: dict[str, Any]) -> list[dict[str, Any]]:
    """The config of a task's model, as `zoo run` would have it; of every task of a suite."""
    return [
        complete(registry, {**cell, "task": task}) for task in suite(registry.tasks, cell["task"])
    ]


def alone(registry: Registry, cell: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a mixer by itself; causal where it can be."""
    if cell["mixer"] == HYBRID:
        raise ZooError("mixer=hybrid: a hybrid is a whole model; add task=NAME")
    hints = get_type_hints(RunConfig, include_extras=True)
    plain = {key: check(key, hints[key], cell[key]) for key in cell if key in hints}
    names = {"mixer": cell["mixer"], "position": plain.get("position") or GROUPS["position"]}
    mixer = registry.mixers[names["mixer"]]
    if names["position"] == "auto":
        names["position"] = mixer.default_position
    classes: dict[str, Any] = {"mixer": mixer, "position": registry.positions[names["position"]]}
    chosen = {key: option(classes, names, key, value) for key, value in cell.items() if "." in key}
    config: dict[str, Any] = {"task": None, "depth": 1, "dim": plain.get("dim") or DIM}
    config |= {"seed": plain.get("seed", 0), **settle(plain)}
    del config["budget"]
    config["direction"] = direction(names["mixer"], mixer, plain.get("direction", "auto"))
    for group, cls in classes.items():
        mine = {key.partition(".")[2]: v for key, v in chosen.items() if key.startswith(group)}
        config[group] = {"name": names[group], **defaults(cls, group), **mine}
        for name, (_, default) in options(cls, group).items():
            if default is Parameter.empty and name not in mine:
                raise ZooError(f"{group}.{name} has no default; type {group}.{name}=VALUE")
    return config


def direction(name: str, mixer: Any, wanted: str) -> str:
    """Causal where nobody says otherwise and the mixer can; `wrapped` as in `zoo run`."""
    both = "bidirectional" in mixer.directions
    if wanted == "auto":
        wanted = "causal" if "causal" in mixer.directions else "bidirectional"
    if wanted == "causal" and "causal" not in mixer.directions:
        raise ZooError(f"direction=causal: {name} is bidirectional only")
    return wanted if wanted == "causal" else "bidirectional" if both else "wrapped"
