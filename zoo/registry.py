"""Find plugins, ask each what it offers, and go on without those that are broken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import pluggy

from zoo import hooks
from zoo.errors import UnknownName, ZooError, nearest
from zoo.names import RESERVED_NAMES, slug

if TYPE_CHECKING:
    from zoo.block import Block
    from zoo.channel import Channel
    from zoo.data.source import Source
    from zoo.mixer import Mixer
    from zoo.position import Position
    from zoo.task import Task

T = TypeVar("T")


class Offer(NamedTuple):
    """One name on a shelf: the plugin that brought it and the item, or where the item is."""

    plugin: str
    item: Any


class Problem(NamedTuple):
    """A plugin, or one name of it, that cannot be used, and why."""

    plugin: str
    message: str


@dataclass
class Shelf(Mapping[str, T], Generic[T]):
    """Everything of one kind, by name; an item is imported when it is taken."""

    kind: str
    contract: str
    """`module:Class` of the contract in the core."""
    holds: Literal["classes", "instances"] = "classes"
    """What an item is to the contract."""
    offers: dict[str, Offer] = field(default_factory=dict)
    clashes: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, plugin: str, item: Any) -> None:
        """Offer ``item``; two plugins with one name lose it both, and both are named."""
        if name in self.offers or name in self.clashes:
            rivals = self.clashes.get(name) or self.offers.pop(name).plugin
            self.clashes[name] = f"{rivals} and {plugin}"
        else:
            self.offers[name] = Offer(plugin, item)

    def __getitem__(self, name: str) -> T:
        if name in self.clashes:
            raise ZooError(
                f"{self.clashes[name]} both offer the {self.kind} {name!r}; uninstall or rename one"
            )
        if name not in self.offers:
            raise UnknownName(f"no {self.kind} is named {name!r}; {nearest(name, self.offers)}")
        plugin, item = self.offers[name]
        taken: T = resolve(item, plugin)
        contract = resolve(self.contract, "mixer-zoo")
        if self.holds == "instances" and not isinstance(taken, contract):
            raise ZooError(
                f"{plugin} offers {name!r} as a {self.kind}, but {taken!r} is no instance of "
                f"zoo.{contract.__name__}; offer one"
            )
        if self.holds == "classes" and not (
            isinstance(taken, type) and issubclass(taken, contract)
        ):
            raise ZooError(
                f"{plugin} offers {name!r} as a {self.kind}, but {taken!r} is no subclass of "
                f"zoo.{contract.__name__}; derive it from that"
            )
        return taken

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.offers))

    def __len__(self) -> int:
        return len(self.offers)

    def __contains__(self, name: object) -> bool:  # Mapping's own would import the class
        return name in self.offers


def resolve(item: Any, plugin: str) -> Any:
    """An item as it is, or the one that "module:name" names."""
    if not isinstance(item, str):
        return item
    module, _, attribute = item.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        raise ZooError(f"{plugin} names {item!r}, which does not import: {error}") from error


@dataclass
class Registry:
    """The loaded plugins and what they brought."""

    plugins: pluggy.PluginManager
    mixers: "Shelf[type[Mixer]]" = field(default_factory=lambda: Shelf("mixer", "zoo.mixer:Mixer"))
    positions: "Shelf[type[Position]]" = field(
        default_factory=lambda: Shelf("position", "zoo.position:Position")
    )
    channels: "Shelf[type[Channel]]" = field(
        default_factory=lambda: Shelf("channel", "zoo.channel:Channel")
    )
    blocks: "Shelf[type[Block]]" = field(default_factory=lambda: Shelf("block", "zoo.block:Block"))
    tasks: "Shelf[type[Task]]" = field(default_factory=lambda: Shelf("task", "zoo.task:Task"))
    data: "Shelf[Source]" = field(
        default_factory=lambda: Shelf("source", "zoo.data.source:Source", "instances")
    )
    commands: dict[str, Offer] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def shelves(self) -> "dict[str, Shelf[Any]]":
        """The shelves by the name of their hook."""
        return {
            "mixers": self.mixers,
            "positions": self.positions,
            "channels": self.channels,
            "blocks": self.blocks,
            "tasks": self.tasks,
            "data": self.data,
        }


def load() -> Registry:
    """Every installed plugin of the entry-point group, each under `dist:name`.

    One that does not import is listed under ``problems``; the others work.
    """
    manager, problems = pluggy.PluginManager("zoo"), []
    manager.add_hookspecs(hooks)
    for point in sorted(entry_points(group=hooks.GROUP), key=label):
        try:
            manager.register(point.load(), name=label(point))
        except (Exception, SystemExit) as error:
            problems.append(Problem(label(point), f"does not load: {error!r}"))
    return fill(manager, problems)


def label(point: EntryPoint) -> str:
    """`dist:name`, so that two distributions may use one entry-point name."""
    return f"{point.dist.name if point.dist else 'unknown'}:{point.name}"


def fill(manager: pluggy.PluginManager, problems: list[Problem] | None = None) -> Registry:
    """Ask every registered plugin; a test passes a manager of its own."""
    registry = Registry(manager, problems=problems or [])
    for plugin, module in sorted(manager.list_name_plugin()):
        try:
            _ask(registry, plugin, module)
        except (Exception, SystemExit) as error:
            registry.problems.append(Problem(plugin, f"a hook failed: {error!r}"))
    for shelf in registry.shelves.values():
        for name, rivals in shelf.clashes.items():
            registry.problems.append(Problem(rivals, f"both offer the {shelf.kind} {name!r}"))
    return registry


def _ask(registry: Registry, plugin: str, module: Any) -> None:
    """Put on the shelves what one plugin offers; a misspelt hook is a problem by name."""
    known = {f"zoo_{kind}" for kind in (*registry.shelves, "commands")}
    for caller in registry.plugins.get_hookcallers(module) or []:
        if caller.name not in known:
            message = f"unknown hook {caller.name!r}; {nearest(caller.name, known)}"
            registry.problems.append(Problem(plugin, message))
            continue
        (implementation,) = [i for i in caller.get_hookimpls() if i.plugin_name == plugin]
        offered: Any = implementation.function()
        door = caller.name.removeprefix("zoo_")
        kind = registry.shelves[door].kind if door in registry.shelves else "command"
        for name, item in offered.items():
            if slug(name, f"{kind} offered by {plugin}") in RESERVED_NAMES:
                raise ZooError(f"the name {name!r} is the zoo's own; choose another")
            if door != "commands":
                registry.shelves[door].put(name, plugin, item)
            elif name in registry.commands:
                raise ZooError(f"{registry.commands[name].plugin} has the command {name!r} already")
            else:
                registry.commands[name] = Offer(plugin, item)
