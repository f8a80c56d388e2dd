"""Which protocols there are, and how a smaller budget scales down what they prescribe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import zoo
from zoo_lra import protocol_nystrom, protocol_s4, protocol_tay, protocol_zoo
from zoo_lra.setting import Key, Setting

Protocol = Literal["zoo", "tay-paper", "tay-repo", "s4", "nystrom"]
NARROWEST = 16
"""The narrowest head that is left when a width shrinks."""
LONG = 8192
"""Tokens from which on `smoke` takes a tenth of the examples and a quarter of the steps."""


@dataclass(frozen=True)
class Limit:
    """The most that a budget takes of what a protocol prescribes."""

    steps: int
    tokens: int
    """In a batch, padding included."""
    looks: int
    """At the validation split."""
    width: int = 1_000_000
    depth: int = 1_000_000
    text: int = 1_000_000
    """Tokens of a text. An expression or a picture would lose its answer: they stay whole."""


LIMITS: Mapping[zoo.Budget, Limit] = {
    "smoke": Limit(steps=40, tokens=2**13, looks=2, width=32, depth=2, text=256),
    "cpu": Limit(steps=2400, tokens=2**14, looks=6, width=32, depth=2, text=1000),
    "gpu": Limit(steps=10_000, tokens=2**18, looks=20),
}
MOST: Mapping[zoo.Budget, Mapping[zoo.Split, int]] = {
    "smoke": {"train": 1000, "valid": 50, "test": 200},
    "cpu": {"train": 10_000, "valid": 500, "test": 1000},
}
"""Examples per split at the small budgets; the others take all there are."""


def prescribed(protocol: Protocol, budget: zoo.Budget) -> Mapping[Key, Setting]:
    """What a protocol says of each task: ours at every budget, the others at `paper`."""
    if protocol == "zoo":
        return protocol_zoo.settings(budget)
    return {
        "tay-paper": protocol_tay.paper,
        "tay-repo": protocol_tay.repository,
        "s4": protocol_s4.settings,
        "nystrom": protocol_nystrom.settings,
    }[protocol]()


def setting(key: Key, protocol: Protocol, budget: zoo.Budget, length: int | None) -> Setting:
    """What ``protocol`` prescribes for the task ``key`` at this budget; ``length`` is the user's.

    Raises ZooError for a task that the protocol does not have.
    """
    settings = prescribed(protocol, budget)
    if key not in settings:
        able = [name for name in get_args(Protocol) if key in prescribed(name, budget)]
