"""What a plugin author needs: ``import zoo`` and nothing deeper."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo import nn as nn
    from zoo import ops as ops
    from zoo.attention import AttentionMixer as AttentionMixer
    from zoo.attention import Cache as Cache
    from zoo.block import Block as Block
    from zoo.channel import Channel as Channel
    from zoo.data.advance import advancing as advancing
    from zoo.data.advance import note as note
    from zoo.data.download import Download as Download
    from zoo.data.download import File as File
    from zoo.data.source import Source as Source
    from zoo.data.source import data_folder as data_folder
    from zoo.data.source import storing as storing
    from zoo.data.stored import Stored as Stored
    from zoo.errors import DataError as DataError
    from zoo.errors import DiskFull as DiskFull
    from zoo.errors import ZooError as ZooError
    from zoo.flops import Flops as Flops
    from zoo.head import Head as Head
    from zoo.head import PooledHead as PooledHead
    from zoo.head import TokenHead as TokenHead
    from zoo.hooks import hookimpl as hookimpl
    from zoo.kernel import Kernel as Kernel
    from zoo.mixer import Complexity as Complexity
    from zoo.mixer import Mixer as Mixer
    from zoo.mixer import State as State
    from zoo.names import Budget as Budget
    from zoo.names import Split as Split
    from zoo.position import ContextPosition as ContextPosition
    from zoo.position import EmbeddingPosition as EmbeddingPosition
    from zoo.position import NoPosition as NoPosition
    from zoo.position import Position as Position
    from zoo.position import PositionFactory as PositionFactory
    from zoo.position import QueryKeyPosition as QueryKeyPosition
    from zoo.position import RelativePosition as RelativePosition
    from zoo.position import ScorePosition as ScorePosition
    from zoo.registry import load as load
    from zoo.runner import run as run
    from zoo.task import IGNORED as IGNORED
    from zoo.task import Batch as Batch
    from zoo.task import Recipe as Recipe
    from zoo.task import Tally as Tally
    from zoo.task import Task as Task
    from zoo.task import classification as classification
    from zoo.task import epoch_rows as epoch_rows

HOME = {
    "data.advance": ["advancing", "note"],
    "attention": ["AttentionMixer", "Cache"],
    "block": ["Block"],
    "channel": ["Channel"],
    "data.download": ["Download", "File"],
    "errors": ["DataError", "DiskFull", "ZooError"],
    "head": ["Head", "PooledHead", "TokenHead"],
    "hooks": ["hookimpl"],
    "kernel": ["Kernel"],
    "flops": ["Flops"],
    "mixer": ["Complexity", "Mixer", "State"],
    "names": ["Budget", "Split"],
    "position": [
        "ContextPosition",
        "EmbeddingPosition",
        "NoPosition",
        "Position",
        "PositionFactory",
        "QueryKeyPosition",
        "RelativePosition",
        "ScorePosition",
    ],
    "registry": ["load"],
    "runner": ["run"],
    "data.source": ["Source", "data_folder", "storing"],
    "data.stored": ["Stored"],
    "task": [
        "IGNORED",
        "Batch",
        "Recipe",
        "Tally",
        "Task",
        "classification",
        "epoch_rows",
    ],
}


def __getattr__(name: str) -> Any:
    """Import on first use: `zoo --help` must not pay for torch."""
    if name in ("nn", "ops"):
        return import_module(f"zoo.{name}")
    for module, names in HOME.items():
        if name in names:
            value = getattr(import_module(f"zoo.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
