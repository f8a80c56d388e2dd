"""Attention to a few of the keys."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer the sliding window."""
    return {"sliding": "zoo_sparse.sliding:Sliding"}
