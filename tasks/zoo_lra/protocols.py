"""Which protocols there are, and how a smaller budget scales down what they prescribe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import zoo
from zoo_lra import protocol_nystrom, protocol_s4, protocol_tay, protocol_zoo
from zoo_lra.setting import Key, Setting

FIVE = ("lra/listops", "lra/text", "lra/retrieval", "lra/image", "lra/pathfinder")
"""The suite without Path-X, which not everybody runs."""
Protocol = Literal["zoo", "tay-paper", "tay-repo", "s4", "nystrom"]
NARROWEST = 16
"""The narrowest head that is left when a width shrinks."""
LONG = 8192
"""Tokens from which on `smoke` and `cpu` take a tenth of the examples."""
EXPRESSION = 125
"""Tokens of an expression at `cpu`, where they are generated: a sixteenth."""

NAMES: Mapping[Key, str] = {
    "pathx": "Path-X (Pathfinder of 128 x 128)",
    "pathfinder64": "Pathfinder of 64 x 64",
    "pathfinder256": "Pathfinder of 256 x 256",
}


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
    """Tokens of a text. A picture would lose its answer, and so stays whole."""


LIMITS: Mapping[zoo.Budget, Limit] = {
    "smoke": Limit(steps=40, tokens=2**13, looks=2, width=32, depth=2, text=256),
    "cpu": Limit(steps=2400, tokens=2**14, looks=6, width=32, depth=2, text=1000),
    "gpu": Limit(steps=10_000, tokens=2**18, looks=20),
}
MOST: Mapping[zoo.Budget, Mapping[zoo.Split, int]] = {
    "smoke": {"train": 1000, "valid": 50, "test": 200},
    "cpu": {"train": 40_000, "valid": 500, "test": 1000},
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
        rest = f", or for the rest of the suite -m task={','.join(FIVE)}" if key == "pathx" else ""
        raise zoo.ZooError(
            f"task.protocol={protocol} has no {NAMES.get(key, key)}: its authors did not run it; "
            f"type task.protocol={' or '.join(able)}{rest}"
        )
    made = settings[key]
    if protocol != "zoo" and budget != "paper":
        made = smaller(made, LIMITS[budget], length)
    return replace(made, length=length or made.length)


def smaller(whole: Setting, limit: Limit, length: int | None = None) -> Setting:
    """The one rule by which budgets below `paper` scale a protocol down.

    Steps, width and depth are cut to the budget's limit, texts to its length, batches to as many
    examples as its tokens hold, never less than one. The peak learning rate falls with the square
    root of the batch (Adam's rule); warm-up stays a share of the steps; weight decay, schedule,
    dropout, norms, pooling and head stay as they are. Heads become the most that leave each at
    least 16 wide and divide the width. Generated expressions are a sixteenth as long at `cpu`
    (ListOps says so). `smoke` takes a quarter of the steps of very long rows.
    """
    old = whole.recipe
    rows = 2 if whole.pair != "none" else 1
    long = length or (min(whole.length, limit.text) if whole.tokens else whole.length)
    batch = max(1, min(old.batch_size, limit.tokens // (rows * long)))
    dim = min(old.dim, limit.width)
    steps = min(old.steps, limit.steps // 4 if limit.steps < 100 and long > LONG else limit.steps)
    recipe = replace(
        old,
        dim=dim,
        depth=min(old.depth, limit.depth),
        steps=steps,
        batch_size=batch,
        lr=old.lr * (batch / old.batch_size) ** 0.5,
        evaluate_every=max(1, steps // limit.looks),
    )
    heads = whole.heads and fewer(whole.heads, dim) if dim < old.dim else whole.heads
    return replace(whole, recipe=recipe, length=long, heads=heads)


def fewer(heads: int, dim: int) -> int:
    """The most heads up to ``heads`` that divide ``dim`` into at least NARROWEST each."""
    able = (n for n in range(heads, 1, -1) if dim % n == 0 and dim // n >= NARROWEST)
    return next(able, 1)


def sizes(counts: Mapping[zoo.Split, int], budget: zoo.Budget, length: int) -> dict[zoo.Split, int]:
    """How many of the ``counts`` examples of each split a budget takes."""
    if budget not in MOST:
        return dict(counts)
    most, share = MOST[budget], 10 if length > LONG else 1
    return {split: min(count, most[split] // share) for split, count in counts.items()}
