"""The zoo's own protocol: one recipe and one size for every mixer, its own validation split."""

from collections.abc import Mapping
from functools import partial

import zoo
from zoo_lra.setting import Key, Setting

Smoke = partial(zoo.Recipe, dim=32, depth=2, steps=40, lr=4e-3, evaluate_every=20)
Cpu = partial(
    zoo.Recipe, dim=32, depth=2, steps=2400, lr=4e-3, evaluate_every=400, match="params:50k"
)
Gpu = partial(
    zoo.Recipe, dim=128, depth=4, steps=5000, lr=1e-3, evaluate_every=500, match="params:800k"
)
Paper = partial(
    zoo.Recipe,
    dim=128,
    depth=6,
    steps=30_000,
    lr=1e-3,
    weight_decay=0.05,
    evaluate_every=1000,
    match="params:1200k",
)
RECIPES: Mapping[Key, Mapping[zoo.Budget, zoo.Recipe]] = {
    "listops": {
        "smoke": Smoke(batch_size=8),
        "cpu": Cpu(batch_size=32, steps=3000, evaluate_every=500),
        "gpu": Gpu(batch_size=32),
        "paper": Paper(batch_size=32),
    },
    "text": {
        "smoke": Smoke(batch_size=8),
        "cpu": Cpu(batch_size=8),
        "gpu": Gpu(batch_size=32),
        "paper": Paper(batch_size=32),
    },
    "retrieval": {
        "smoke": Smoke(batch_size=4),
        "cpu": Cpu(batch_size=8),
        "gpu": Gpu(batch_size=32),
        "paper": Paper(batch_size=32),
    },
    "image": {
        "smoke": Smoke(batch_size=8),
        "cpu": Cpu(batch_size=16),
        "gpu": Gpu(batch_size=64, steps=10_000),
        "paper": Paper(batch_size=64, steps=60_000),
    },
    "pathfinder": {
        "smoke": Smoke(batch_size=8),
        "cpu": Cpu(batch_size=8, steps=600, evaluate_every=300),
        "gpu": Gpu(batch_size=64, steps=10_000),
        "paper": Paper(batch_size=64, steps=100_000),
    },
    "pathfinder64": {
        "smoke": Smoke(batch_size=2),
        "cpu": Cpu(batch_size=4),
        "gpu": Gpu(batch_size=32),
        "paper": Paper(batch_size=32, steps=100_000),
    },
    "pathx": {
        "smoke": Smoke(batch_size=1, steps=10, evaluate_every=5),
        "cpu": Cpu(batch_size=1),
        "gpu": Gpu(batch_size=16),
        "paper": Paper(batch_size=16, steps=100_000),
    },
    "pathfinder256": {
        "smoke": Smoke(batch_size=1, steps=10, evaluate_every=5),
        "cpu": Cpu(batch_size=1, steps=600, evaluate_every=100),
        "gpu": Gpu(batch_size=4),
        "paper": Paper(batch_size=4, steps=100_000),
    },
}
"""How every mixer is trained; `match` is the size it gets, and `dim` what it has without."""
SHORTER: Mapping[Key, Mapping[zoo.Budget, int]] = {
    "text": {"smoke": 256, "cpu": 1024},
    "retrieval": {"smoke": 256, "cpu": 1024},
}
"""Texts are cut for the smaller budgets; an expression or a picture would lose its answer."""


def settings(budget: zoo.Budget) -> dict[Key, Setting]:
    """Protocol `zoo`, ours: what a comparison of mixers needs and the originals lack.

    Every mixer has the same recipe and the same number of parameters (``match``), pre-norm blocks
    and its own default position; validation examples are of the training set, so that the test
    split is never looked at. The head reads the mean, on ListOps the first and the last position
    side by side, through one hidden layer, so that causal mixers need no second direction. Texts
    are bytes, pictures 256 tokens.
    """
    recipes = {key: RECIPES[key][budget] for key in RECIPES}
    lengths: dict[Key, int] = {"text": 4096, "retrieval": 4000}
    lengths |= {key: cut[budget] for key, cut in SHORTER.items() if budget in cut}
    text = partial(Setting, pooling="mean", hidden=(2.0,), tokens="bytes", splits="own")
    picture = partial(Setting, pooling="mean", hidden=(2.0,))
    return {
        "listops": Setting(recipes["listops"], 2000, pooling="ends", hidden=(2.0,)),
        "text": text(recipes["text"], lengths["text"]),
        "retrieval": text(recipes["retrieval"], lengths["retrieval"], pair="nli", splits="given"),
        "image": picture(recipes["image"], 1024, splits="own"),
        "pathfinder": picture(recipes["pathfinder"], 1024),
        "pathfinder64": picture(recipes["pathfinder64"], 4096),
        "pathx": picture(recipes["pathx"], 16_384),
        "pathfinder256": picture(recipes["pathfinder256"], 65_536),
    }
