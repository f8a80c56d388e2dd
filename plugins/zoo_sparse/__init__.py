"""Attention to a few of the keys."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer patterns that are fixed, and those that the input chooses."""
    return {
        "moba": "zoo_sparse.moba:Moba",
        "nsa": "zoo_sparse.nsa:Nsa",
        "reformer": "zoo_sparse.reformer:Reformer",
        "sliding": "zoo_sparse.sliding:Sliding",
    }
