"""Equal sizes: solve the width for a number of parameters, FLOPs or state."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from zoo.errors import ZooError
from zoo.model import Backbone

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
TOLERANCE = 0.01
WIDEST = 16_384
MEASURES: Mapping[str, Callable[[Backbone, int], float]] = {
    "params": lambda model, _: sum(p.numel() for p in model.parameters()),
    "flops": lambda model, length: model.flops_per_token(length),
    "state": lambda model, length: model.state_size(length),
}
"""params; flops per token of a forward pass at the task's length; numbers of state there."""

Sized = tuple[float, dict[str, Any]]


def target(text: str) -> tuple[str, float, bool]:
    """`params:200k` as ("params", 200000.0, False); `atmost:params:200k` has True, it is a limit.

    Raises ZooError.
    """
    found = re.fullmatch(r"(atmost:)?(\w+):(\d+(?:\.\d+)?)([kmgb]?)", text.lower())
    if not found or found[2] not in MEASURES or not float(found[3]):
        raise ZooError(
            f"match={text}: write params:200k, flops:3M or state:4k, with atmost: before it for a "
            "limit, or none"
        )
    return found[2], float(found[3]) * UNITS[found[4]], bool(found[1])


def solve(
    config: Mapping[str, Any], build: Callable[[Mapping[str, Any]], Backbone], length: int
) -> dict[str, Any]:
    """``config`` with the width, and then the channel's ``expand``, that hit the target.

    The width takes the nearest size that can be built (heads must divide it); what is left over
    goes to the channel. A size that is only a limit changes what is larger, and that to between
    98 % and 100 % of it. Raises ZooError when the nearest size is more than 1 % away.
    """
    kind, wanted, limit = target(str(config["match"]))

    def size(changed: Mapping[str, Any]) -> float | None:
        try:
            with torch.device("meta"):
                return float(MEASURES[kind](build(changed), length))
        except ZooError:
            return None

    if limit:
        now = size(config)
        if now is not None and now <= wanted:
            return dict(config)
        wanted *= 1 - TOLERANCE

    def at(dim: int) -> Sized | None:
        changed = {**config, "dim": dim}
        found = size(changed)
        return None if found is None else (found, changed)

    nearest = min(_around(at, wanted), key=lambda pair: abs(pair[0] - wanted))
    if "expand" in config["channel"]:
        nearest = min(
            [nearest, *_stretch(nearest[1], size, wanted)], key=lambda p: abs(p[0] - wanted)
        )
    if abs(nearest[0] - wanted) > TOLERANCE * wanted:
        raise ZooError(
            f"match={config['match']}: the nearest is {nearest[0]:,.0f}, dim={nearest[1]['dim']}: "
            "more than 1 % away; ask for that, or change depth"
        )
    return nearest[1]


def _around(at: Callable[[int], Sized | None], wanted: float) -> list[Sized]:
    """Sizes just below and above: bisect the width, stepping over widths that cannot be built."""

    def buildable(dim: int) -> Sized | None:
        return next((s for d in range(dim, dim + 64) if (s := at(d)) is not None), None)

    low, high, found = 1, WIDEST, []
    while low <= high:
        middle = (low + high) // 2
        sized = buildable(middle)
        if sized is None:
            raise ZooError(f"nothing can be built at dim={middle} or a little above it")
        found.append(sized)
        if sized[0] < wanted:
            low = max(middle, sized[1]["dim"]) + 1
        else:
            high = middle - 1
    return found


def _stretch(
    config: dict[str, Any], size: Callable[[Mapping[str, Any]], float | None], wanted: float
) -> list[Sized]:
    """The same width with a channel up to twice as wide or half as wide."""
    expand, low, high, found = config["channel"]["expand"], 0.5, 2.0, []
    for _ in range(24):
        middle = (low + high) / 2
        changed = {**config, "channel": {**config["channel"], "expand": expand * middle}}
        sized = size(changed)
        if sized is None:
            break
        found.append((sized, changed))
        low, high = (middle, high) if sized < wanted else (low, middle)
    return found
