"""What was typed, checked and made whole: `key=value` words to one plain resolved config each.

Hydra's grammar and compose API do the work; every mistake is caught before them, since their
answers advise `+key`, accept wrong types and suggest nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from inspect import Parameter
from itertools import product
from threading import Lock
from typing import Any, get_type_hints

from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from hydra_zen import ZenStore, builds
from omegaconf import OmegaConf

from zoo.errors import ZooError, nearest
from zoo.keys import RunConfig
from zoo.options import GIVEN, arguments, check, defaults, options
from zoo.registry import Registry, Shelf

GROUPS = {"task": None, "mixer": None, "position": "auto", "channel": "mlp", "block": "prenorm"}
"""Config group -> what is taken when neither the user nor the task's protocol names one."""
HYBRID = "hybrid"

COMPOSING = Lock()


def resolve(registry: Registry, words: Sequence[str], *, multirun: bool) -> list[dict[str, Any]]:
    """One resolved config per run that the words ask for; raises ZooError for any mistake."""
    given = parse(registry, words)
    sweeps = [word for key, word in given.items() if word.is_sweep_override()]
    if sweeps and not multirun:
        raise ZooError(f"{sweeps[0].input_line} is several runs; add -m to run them all")
    for group, default in GROUPS.items():
        if group not in given and default is None:
            shelf = registry.shelves[f"{group}s"]
            raise ZooError(f"which {group}? type {group}=NAME; there is {', '.join(shelf)}")
    columns = [list(values(word)) for word in given.values()]
    cells = [dict(zip(given, cell, strict=True)) for cell in product(*columns)]
    return [
        complete(registry, {**cell, "task": task})
        for cell in cells
        for task in suite(registry.tasks, cell["task"])
    ]


def parse(registry: Registry, words: Sequence[str]) -> dict[str, Override]:
    """Words by their key; keys are known to exist, group names to be on a shelf."""
    given: dict[str, Override] = {}
    for text in words:
        if text[:1] in "+~" or "=" not in text:
            raise ZooError(f"{text}: write key=value, with a key that exists; `+` and `~` do not")
        try:
            word = OverridesParser.create().parse_override(text)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise ZooError(f"{text}: cannot be read as key=value: {reason}") from None
        key = word.key_or_group
        if word.package is not None:
            raise ZooError(f"{text}: `@` has no meaning here; write {key}=VALUE")
        if key in given:
            raise ZooError(f"{key} is given twice; give it once, or as {key}=a,b with -m")
        _known(key)
        if key in GROUPS:
            for name in values(word):
                _on_shelf(registry, key, name)
        given[key] = word
    return given


def _known(key: str) -> None:
    """Is there such a key, as far as can be told before a class is imported?"""
    top, dot, _ = key.partition(".")
    plain = RunConfig.__dataclass_fields__
    if top in GROUPS or (top in plain and not dot):
        return
    hint = "" if dot else f"; an option of the task or mixer is task.{key} or mixer.{key}"
    raise ZooError(f"no key is named {key!r}; {nearest(top, plain)}{hint}")


def _on_shelf(registry: Registry, group: str, name: Any) -> None:
    """Raises ZooError, with the nearest right name, unless the shelf has it."""
    shelf: Shelf[Any] = registry.shelves[f"{group}s"]
    special = {"mixer": [HYBRID], "position": ["auto"]}.get(group, [])
    if isinstance(name, str) and (name in special or name in shelf):
        return
    if isinstance(name, str) and group == "task" and name in suites(shelf):
        return
    if isinstance(name, str) and name in shelf.clashes:
        shelf[name]
    known = [*shelf, *special, *(suites(shelf) if group == "task" else [])]
    raise ZooError(f"no {group} is named {name!r}; {nearest(str(name), known)}")


def values(word: Override) -> Iterator[Any]:
    """The values of a sweep one by one, or the one value."""
    try:
        elements = list(word.sweep_iterator()) if word.is_sweep_override() else [word.value()]
    except (HydraException, ValueError) as error:
        raise ZooError(f"{word.input_line}: list the values, as {word.key_or_group}=a,b") from error
    if not elements:
        raise ZooError(f"{word.input_line} is an empty range: no run at all")
    yield from map(plain, elements)


def plain(element: Any) -> Any:
    """Hydra's parsed value as Python's own types."""
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, dict):
        return {str(plain(k)): plain(v) for k, v in element.items()}
    return [plain(e) for e in element] if isinstance(element, list) else element


def suites(tasks: Mapping[str, Any]) -> set[str]:
    """Names before a slash: `lra` of `lra/listops`."""
    return {name.rpartition("/")[0] for name in tasks if "/" in name}


def suite(tasks: Mapping[str, Any], name: str) -> list[str]:
    """The tasks that a name stands for: itself, or all of its suite."""
    return [name] if name in tasks else [task for task in tasks if task.startswith(f"{name}/")]


def complete(registry: Registry, cell: dict[str, Any]) -> dict[str, Any]:
    """One cell of the grid, made whole: the classes' defaults under what the task's protocol
    prescribes under what the user typed, all of it checked.
    """
    hybrid = cell["mixer"] == HYBRID
    if bool(cell.get("pattern")) != hybrid:
        raise ZooError("a hybrid is mixer=hybrid and pattern=[mamba,mamba,attention], both")
    hints = get_type_hints(RunConfig, include_extras=True)
    hints = {key: hint for key, hint in hints.items() if key not in GROUPS}
    plain_keys = {k: check(k, hints[k], v) for k, v in cell.items() if k in hints}
    ground = settle(plain_keys)
    task = {"task": registry.tasks[cell["task"]]}
    mine = {k: option(task, cell, k, v) for k, v in cell.items() if k.startswith("task.")}
    prescribed = partial(prescribe, task["task"], mine, ground["budget"])
    if hybrid:
        plain_keys["pattern"] = [
            layer(registry, entry, prescribed) for entry in plain_keys["pattern"]
        ]
    mixers = [entry["name"] for entry in plain_keys["pattern"]] if hybrid else [cell["mixer"]]
    words = around([registry.mixers[name] for name in mixers], prescribed)
    names = {
        group: str(cell.get(group) or words.get(group) or default)
        for group, default in GROUPS.items()
    }
    if names["position"] == "auto" and not hybrid:
        names["position"] = registry.mixers[names["mixer"]].default_position
    _on_shelf(registry, "position", names["position"])
    classes = {
        group: registry.shelves[f"{group}s"][name]
        for group, name in names.items()
        if name not in ("auto", HYBRID)
    }
    checked = {**ground, **plain_keys} | {
        key: option(classes, names, key, value)
        for key, value in cell.items()
        if key not in GROUPS and key not in hints
    }
    fitting = {
        key: value
        for key, value in words.items()
        if fits(key, words, names, classes) and key not in checked
    }
    config = _compose(classes, fitting | checked)
    for group, name in names.items():
        config[group] = {"name": name, **(config[group] or {})}
    return config


def settle(given: Mapping[str, Any]) -> dict[str, Any]:
    """Device, budget and precision, where the user leaves them to the machine."""
    import torch  # not before the words have been found good

    here = torch.cuda.is_available()
    device = given.get("device", "auto")
    if device == "cuda" and not here:
        raise ZooError(
            "device=cuda: torch sees no CUDA device; type device=cpu or see `zoo doctor`"
        )
    decided = {"device": ("cuda" if here else "cpu") if device == "auto" else device}
    cuda = decided["device"] == "cuda"
    for key, value in (
        ("budget", "gpu" if cuda else "cpu"),
        ("precision", "bf16" if cuda else "32"),
    ):
        decided[key] = value if given.get(key, "auto") == "auto" else given[key]
    return decided


def prescribe(task: Any, mine: Mapping[str, Any], budget: str, mixer: Any) -> Mapping[str, Any]:
    """What the task's protocol puts around a mixer; ``mine`` are the task's options as typed."""
    _all_given({"task": task}, mine)
    own = {key.partition(".")[2]: value for key, value in mine.items()}
    entry = {**defaults(task, "task"), **own}
    words: Mapping[str, Any] = task(**arguments(task, "task", entry), budget=budget).backbone(mixer)
    return words


def around(
    mixers: Sequence[Any], prescribed: Callable[[Any], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """What the protocol puts around all of a hybrid's mixers, in whatever order they come: the
    last word has who needs more, a channel after it or a position.
    """
    words: dict[str, Any] = {}
    for mixer in sorted(mixers, key=lambda mixer: not mixer.owns_channel):
        words |= prescribed(mixer)
    return words


def fits(
    key: str, words: Mapping[str, Any], names: Mapping[str, str], classes: Mapping[str, Any]
) -> bool:
    """Has the class that was taken this option, and was it taken as the protocol had it?"""
    group, dot, name = key.partition(".")
    if not dot or group not in classes or name not in options(classes[group], group):
        return False
    return group == "mixer" or names[group] == words.get(group, GROUPS[group])


def option(classes: Mapping[str, Any], names: Mapping[str, str], key: str, value: Any) -> Any:
    """The checked value of `group.option`."""
    group, _, name = key.partition(".")
    if group not in classes:
        raise ZooError(f"{key}: {group}={names[group]} has no options; name a {group} first")
    known = options(classes[group], group)
    if name not in known:
        here = f"{group} {names[group]!r}"
        raise ZooError(f"{here} has no option {name!r}; {nearest(name, known)}")
    return check(key, known[name][0], value)


def layer(
    registry: Registry, entry: Any, prescribed: Callable[[Any], Mapping[str, Any]]
) -> dict[str, Any]:
    """One entry of a hybrid's pattern, `mamba` or {attention: {heads: 2}}, made whole."""
    name: Any = entry
    own: Any = {}
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, own),) = entry.items()
    if not isinstance(name, str) or not isinstance(own, dict) or name == HYBRID:
        raise ZooError(
            f"pattern entry {entry!r}: write a mixer's name or {{name:{{option:value}}}}"
        )
    _on_shelf(registry, "mixer", name)
    cls, names = {"mixer": registry.mixers[name]}, {"mixer": name}
    words = prescribed(cls["mixer"])
    theirs = {k.partition(".")[2]: v for k, v in words.items() if fits(k, words, names, cls)}
    mine = {key: option(cls, names, f"mixer.{key}", v) for key, v in own.items()}
    return {"name": name, **defaults(cls["mixer"], "mixer"), **theirs, **mine}


def _all_given(classes: Mapping[str, Any], checked: Mapping[str, Any]) -> None:
    """Raises ZooError for an option that has no default and no value."""
    for group, cls in classes.items():
        for name, (_, default) in options(cls, group).items():
            key = f"{group}.{name}"
            if default is Parameter.empty and key not in checked:
                raise ZooError(f"{key} has no default; type {key}=VALUE")


def _compose(classes: Mapping[str, Any], checked: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of the chosen classes under the checked values, by Hydra."""
    store = ZenStore("zoo", overwrite_ok=True)
    store(builds(RunConfig, populate_full_signature=True), name="run")
    _all_given(classes, checked)
    for group, cls in classes.items():
        entry = builds(
            cls,
            populate_full_signature=True,
            zen_partial=True,
            zen_exclude=tuple(GIVEN[group]),
            hydra_convert="all",
        )
        store(entry, group=group, name="chosen", package=group)
    with COMPOSING:  # Hydra keeps its state in globals; a caller's own is put back
        before = Singleton.get_state()
        GlobalHydra.instance().clear()
        try:
            store.add_to_hydra_store(overwrite_ok=True)
            with initialize(version_base="1.3", config_path=None):
                config = compose("run", [f"+{group}=chosen" for group in classes])
        finally:
            Singleton.set_state(before)
    whole: dict[str, Any] = _without_targets(OmegaConf.to_container(config, enum_to_str=True))
    for group, cls in classes.items():
        whole[group] = defaults(cls, group)
    for key, value in checked.items():
        group, _, name = key.rpartition(".")
        (whole[group] if group else whole)[name] = value
    return whole


def _without_targets(tree: Any) -> Any:
    """Plain data: what is built is decided by name and shelf, not by a path in a config."""
    if isinstance(tree, dict):
        return {k: _without_targets(v) for k, v in tree.items() if not str(k).startswith("_")}
    return [_without_targets(v) for v in tree] if isinstance(tree, list) else tree
