"""The protocol of the state space models' papers, after Gu, Goel & Re 2021 (arXiv 2111.00396)."""

from functools import partial
from typing import Any

import zoo
from zoo_lra.setting import Key, Setting

S4 = partial(
    zoo.Recipe, depth=6, lr=0.01, weight_decay=0.05, warmup=0.1, clip=0.0, evaluate_every=1000
)


def block(name: str, dropout: float = 0.0) -> dict[str, Any]:
    """Batch norm, before or after; an MLP for mixers that leave their channels to it."""
    return {
        "block": name,
        "block.norm": "batch",
        "block.dropout": dropout,
        "channel": "mlp",
        "channel.expand": 2.0,
    }


def settings() -> dict[Key, Setting]:
    """Protocol `s4`: configs/experiment/lra/s4-*.yaml of state-spaces/s4, the second S4 paper's.

    A layer is the mixer alone, for those that mix channels themselves behind a gate as S4 does
    (``owns_channel``); the others have an MLP after it, without which attention would have none.
    Batch norm everywhere, after the layer on ListOps and Image, before it elsewhere. Characters
    rather than bytes, and an end token; pixels as real numbers; a linear head on the mean.

    Faults kept: on Text validation is test. Steps, of whole batches alone: 40 epochs of 96,000 //
    32 = 3,000; 32 of 25,000 // 16 = 1,562 against 50,000 scheduled (50,000 here); 20 of 147,086 //
    64 = 2,298 on Retrieval, which is 45,960 and so ends before its schedule of 50,000 does (45,960
    here, with the cosine ending there); 200 of 900; 200 of 2,500; 50 of 10,000. Path-X starts from
    step sizes down to 0.0001 where a mixer has them. The states per channel are the mixer's own:
    S4's rows have `mixer.state=4` on ListOps, Text and Retrieval, 64 on pictures.
    """
    text = partial(Setting, pooling="mean", alone=True, end=True)
    after, before = block("postnorm"), block("prenorm")
    picture = partial(Setting, pooling="mean", hidden=(), alone=True, splits="random")
    grey, plain = (122.6 / 255, 61 / 255), (0.0, 1.0)
    return {
        "listops": text(S4(dim=256, steps=120_000, batch_size=32), 2048, hidden=(), block=after),
        "text": text(
            S4(dim=256, steps=50_000, batch_size=16),
            4096,
            hidden=(),
            block=before,
            tokens="characters",
            splits="validation is test",
        ),
        "retrieval": text(
            S4(dim=256, steps=45_960, batch_size=64, warmup=5000 / 45_960),
            4000,
            hidden=(1.0,),
            pair="nli",
            block=before,
            tokens="characters",
        ),
        "image": picture(
            S4(dim=512, steps=180_000, batch_size=50),
            1024,
            block=block("postnorm", 0.1),
            scale=grey,
        ),
        "pathfinder": picture(
            S4(dim=256, steps=500_000, batch_size=64, lr=0.004), 1024, block=before, scale=plain
        ),
        "pathx": picture(
            S4(dim=256, steps=500_000, batch_size=16, lr=0.001),
            16_384,
            block={**before, "mixer.dt_min": 0.0001},
            scale=plain,
        ),
    }
