"""The protocol of the efficient attentions after Xiong et al. 2021 (arXiv 2102.03902)."""

from functools import partial

import zoo
from zoo_lra.setting import Key, Setting

Nystrom = partial(
    zoo.Recipe,
    dim=64,
    depth=2,
    lr=1e-4,
    schedule="linear",
    weight_decay=0.0,
    clip=0.0,
    evaluate_every=500,
)


def settings() -> dict[Key, Setting]:
    """Protocol `nystrom`: LRA/code/lra_config.py of mlpen/Nystromformer, two small layers for all.

    Learned positions, the mean, a head of one hidden layer. Faults kept: on Text validation is
    test, and although the config names 4,000 positions its data are made from the first 1,000
    bytes. Its authors did not run Path-X. Retrieval has six times the steps of `tay-repo`, and
    its Transformer about 80 instead of 57: an effect of the protocol, not of a model.
    """
    mean = partial(
        Setting,
        pooling="mean",
        hidden=(2.0,),
        heads=2,
        position="learned",
        block={
            "block": "prenorm",
            "block.norm": "layer",
            "block.dropout": 0.1,
            "channel": "mlp",
            "channel.expand": 2.0,
        },
    )
    return {
        "listops": mean(Nystrom(steps=5000, batch_size=32, warmup=0.2), 2000),
        "text": mean(
            Nystrom(steps=20_000, batch_size=32, warmup=0.4),
            1000,
            tokens="bytes",
            splits="validation is test",
        ),
        "retrieval": mean(
            Nystrom(steps=30_000, batch_size=32, warmup=800 / 30_000),
            4000,
            tokens="bytes",
            pair="nli",
        ),
        "image": mean(
            Nystrom(steps=35_000, batch_size=256, warmup=175 / 35_000), 1024, splits="sequential"
        ),
        "pathfinder": mean(
            Nystrom(steps=62_400, batch_size=256, warmup=312 / 62_400), 1024, splits="random"
        ),
    }
