"""From names and options to a model: what goes into each layer, and where a position acts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoo.bidirectional import Bidirectional
from zoo.block import Block
from zoo.config import HYBRID
from zoo.errors import ZooError
from zoo.mixer import Mixer
from zoo.model import Backbone
from zoo.options import arguments, given
from zoo.position import Place, Position
from zoo.registry import Registry
from zoo.task import Task


@dataclass(frozen=True)
class Builder:
    """Builds what a complete config stands for. ``layers`` are the mixers cycled over depth."""

    registry: Registry
    config: Mapping[str, Any]
    task: Task
    causal: bool

    @property
    def layers(self) -> list[Mapping[str, Any]]:
        """One mixer's entry, or those of a hybrid's pattern."""
        return layers(self.config)

    def backbone(self) -> Backbone:
        """The whole model; raises ZooError for what does not go together."""
        return Backbone(
            self.task,
            dim=self.config["dim"],
            depth=self.config["depth"],
            blocks=self.block,
            position=self.embedding_position(),
        )

    def block(self, dim: int, layer: int, depth: int) -> Block:
        """One layer: its mixer, its channel and the block around them."""
        where = {"layer": layer, "depth": depth}
        mixer = self.mixer(self.layers[layer % len(self.layers)], dim, **where)
        channel_class: Any = self.registry.channels[self.config["channel"]["name"]]
        channel = channel_class(
            dim,
            **given(channel_class, **where),
            **arguments(channel_class, "channel", self.config["channel"]),
        )
        block_class: Any = self.registry.blocks[self.config["block"]["name"]]
        more = {
            **given(block_class, **where),
            **arguments(block_class, "block", self.config["block"]),
        }
        block: Block = block_class(mixer, channel, dim, **more)
        return block

    def mixer(self, entry: Mapping[str, Any], dim: int, **where: int) -> Mixer:
        """One layer's mixer, given a position of its own if that acts inside it; where it is
        causal only and must not be, two of it.
        """
        cls, name = (
            self.registry.mixers[entry["name"]],
            position_of(self.registry, self.config, entry),
        )
        place = self.registry.positions[name].place
        if place not in cls.positions and not self.taken_by_another(place):
            able = [p for p, at in self.places().items() if at in cls.positions]
            raise ZooError(
                f"position={name} acts on the {place}, which {entry['name']} cannot take; "
                f"it can take {', '.join(able)}"
            )
        inside = place in cls.positions and place not in ("none", "embedding")
        wrapped = not self.causal and "bidirectional" not in cls.directions
        self.agree_on_direction(name, entry["name"], causal=self.causal or wrapped)
        context = {
            "position": self.position(name, causal=self.causal or wrapped) if inside else None,
            "causal": self.causal or wrapped,
            "max_length": self.task.max_length,
        }
        more = {**given(cls, **context, **where), **arguments(cls, "mixer", entry)}
        return Bidirectional(cls(dim, **more), cls(dim, **more)) if wrapped else cls(dim, **more)

    def agree_on_direction(self, position: str, mixer: str, *, causal: bool) -> None:
        """Raises ZooError where a position is not defined in the mixer's direction."""
        direction = "causal" if causal else "bidirectional"
        if direction in self.registry.positions[position].directions:
            return
        shelf, places = self.registry.positions, self.registry.mixers[mixer].positions
        able = [n for n in shelf if direction in shelf[n].directions and shelf[n].place in places]
        raise ZooError(
            f"position={position} is not {direction}, as {mixer} is on this task; it can take "
            f"{', '.join(able)}"
        )

    def position(self, name: str, *, causal: bool) -> Any:
        """(dim, heads) -> the position of this name, for a mixer in this direction."""
        cls = self.registry.positions[name]
        entry = self.config["position"]
        mine = arguments(cls, "position", entry) if entry["name"] == name else {}
        more = given(cls, max_length=self.task.max_length, causal=causal)
        return partial(cls, **more, **mine)

    def embedding_position(self) -> Position | None:
        """The one position that acts on embeddings, if any mixer wants one."""
        for entry in self.layers:
            name = position_of(self.registry, self.config, entry)
            if self.registry.positions[name].place == "embedding":
                built = self.position(name, causal=self.causal)
                position: Position = built(self.config["dim"], 1)
                return position
        return None

    def places(self) -> dict[str, Place]:
        """Every position by the place where it acts."""
        return {name: self.registry.positions[name].place for name in self.registry.positions}

    def taken_by_another(self, place: Place) -> bool:
        """Does another mixer of the hybrid take a position that acts here?"""
        return any(place in self.registry.mixers[e["name"]].positions for e in self.layers)


def layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The mixers that are cycled over depth: one, or a hybrid's pattern."""
    hybrid = config["mixer"]["name"] == HYBRID
    return config["pattern"] if hybrid else [config["mixer"]]


def position_of(registry: Registry, config: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """The name of one mixer's position: the user's word, or the mixer's own default."""
    name: str = config["position"]["name"]
    return registry.mixers[entry["name"]].default_position if name == "auto" else name
