"""The Long Range Arena."""

import zoo


@zoo.hookimpl
def zoo_tasks() -> dict[str, str]:
    """Offer the shelf."""
    return {
        "lra/listops": "zoo_lra.listops:ListOps",
        "lra/text": "zoo_lra.text:Text",
        "lra/retrieval": "zoo_lra.retrieval:Retrieval",
        "lra/image": "zoo_lra.image:Image",
    }


@zoo.hookimpl
def zoo_data() -> dict[str, str]:
    """What `zoo data fetch` brings for it."""
    return {
        "imdb": "zoo_lra.sources:IMDB",
        "aan": "zoo_lra.sources:AAN",
        "cifar10": "zoo_lra.sources:CIFAR10",
        "imdb-train": "zoo_lra.sources:IMDB_TRAIN",
        "shakespeare": "zoo_lra.sources:SHAKESPEARE",
        "fashion-mnist": "zoo_lra.sources:FASHION_MNIST",
    }
