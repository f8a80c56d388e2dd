"""Ground-floor parts that mixers of more than one package need."""

from collections.abc import Collection

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from zoo.errors import ZooError
from zoo.position import Position, PositionFactory


def head_width(dim: int, heads: int) -> int:
    """The width ``e`` of a head; raises ZooError, with the nearest that would do, if not whole."""
    if dim % heads:
        divisors = [n for n in range(1, dim + 1) if dim % n == 0]
        near = min(divisors, key=lambda n: abs(n - heads))
        raise ZooError(f"mixer.heads={heads} does not divide dim={dim}; try mixer.heads={near}")
    return dim // heads


def real_positions(lengths: Int[Tensor, " b"], x: Tensor) -> Bool[Tensor, "b l"]:
    """True where a row of ``x`` (b, l, ...) is a token, False in its padding."""
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None].to(x.device)


def inner_position(
    position: PositionFactory | None,
    dim: int,
    heads: int,
    places: Collection[str],
    *,
    causal: bool,
) -> Position | None:
    """The position built for this attention, or None if there is none to act inside it.

    Raises ZooError for one that acts in none of ``places``, or not in the mixer's direction.
    """
    built = None if position is None else position(dim, heads)
    if built is None or built.place == "none":
        return None
    if built.place not in places or built.place == "embedding":
        inside = ", ".join(sorted(set(places) - {"none", "embedding"})) or "nowhere"
        raise ZooError(
            f"a position on the {built.place} cannot act inside this attention, which takes one on "
            f"the {inside}; try position=none"
        )
    direction = "causal" if causal else "bidirectional"
    name = type(built).__name__
    if direction not in built.directions:
        raise ZooError(f"{name} is not defined for a {direction} mixer; try position=rope")
    if getattr(built, "causal", causal) != causal:
        raise ZooError(
            f"{name} was built with causal={not causal} for a {direction} mixer; give it as "
            f"functools.partial({name}, causal={causal})"
        )
    return built
