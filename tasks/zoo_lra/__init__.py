"""The Long Range Arena."""

import zoo


@zoo.hookimpl
def zoo_tasks() -> dict[str, str]:
    """Offer the shelf."""
    return {
        "lra/listops": "zoo_lra.listops:ListOps",
        "lra/pathfinder": "zoo_lra.pathfinder:Pathfinder",
        "lra/pathx": "zoo_lra.pathfinder:PathX",
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
        "listops": "zoo_lra.generated:LISTOPS_FILES",
        "lra-release": "zoo_lra.release:LRA_RELEASE",
        **{
            f"pathfinder{size}{kind}".lower().replace("_", "-"): (
                f"zoo_lra.generated:PATHFINDER{size}{kind}"
            )
            for size in (32, 64, 128, 256)
            for kind in ("", "_EASY", "_INTERMEDIATE")
        },
    }
