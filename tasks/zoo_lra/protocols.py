"""Which protocols there are, and how a smaller budget scales down what they prescribe."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import zoo
from zoo_lra import protocol_zoo
from zoo_lra.setting import Key, Setting

Protocol = Literal["zoo", "tay-paper", "tay-repo", "s4", "nystrom"]
MOST: Mapping[zoo.Budget, Mapping[zoo.Split, int]] = {
    "smoke": {"train": 1000, "valid": 50, "test": 200},
    "cpu": {"train": 10_000, "valid": 500, "test": 1000},
}
"""Examples per split at the small budgets; the others take all there are."""


def setting(key: Key, protocol: Protocol, budget: zoo.Budget, length: int | None) -> Setting:
    """What ``protocol`` prescribes for the task ``key`` at this budget; raises ZooError."""
    made = protocol_zoo.settings(budget)[key]
    return replace(made, length=length or made.length)


def sizes(counts: Mapping[zoo.Split, int], budget: zoo.Budget) -> dict[zoo.Split, int]:
    """How many of the ``counts`` examples of each split a budget takes."""
    most = MOST.get(budget, counts)
    return {split: min(count, most[split]) for split, count in counts.items()}
