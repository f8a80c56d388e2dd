"""The doors through which a plugin enters the zoo.

Each hook returns a mapping from name to class, or to "module:Class" in words, which spares
`zoo --help` and `zoo list` the import of torch.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    from zoo.block import Block
    from zoo.channel import Channel
    from zoo.data.source import Source
    from zoo.mixer import Mixer
    from zoo.position import Position
    from zoo.task import Task

GROUP = "zoo.plugins"
F = TypeVar("F", bound=Callable[..., Any])
hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_mixers() -> "Mapping[str, type[Mixer] | str]":
    """Name -> class. Keyword arguments after ``dim`` become ``mixer.*`` options."""
    return {}


@hookspec
def zoo_positions() -> "Mapping[str, type[Position] | str]":
    """Name -> class. Keyword arguments after ``heads`` become ``position.*`` options."""
    return {}


@hookspec
def zoo_channels() -> "Mapping[str, type[Channel] | str]":
    """Name -> class. Keyword arguments after ``dim`` become ``channel.*`` options."""
    return {}


@hookspec
def zoo_blocks() -> "Mapping[str, type[Block] | str]":
    """Name -> class. Keyword arguments after ``dim`` become ``block.*`` options."""
    return {}


@hookspec
def zoo_tasks() -> "Mapping[str, type[Task] | str]":
    """Name -> class. Keyword arguments become ``task.*`` options; a suite is `suite/task`."""
    return {}


@hookspec
def zoo_data() -> "Mapping[str, Source | str]":
    """Name -> source, an instance: what `zoo data fetch NAME` brings."""
    return {}


@hookspec
def zoo_commands() -> Mapping[str, Callable[..., Any] | str]:
    """Name -> function, made a subcommand of `zoo` by Typer from its signature."""
    return {}
