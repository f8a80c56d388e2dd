"""Full attention: the quadratic yardstick, with smaller caches, or with less noise."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer attention to everything, with heads of several kinds."""
    return {
        "attention": "zoo_attention.full:Attention",
        "diff_attention": "zoo_attention.differential:DiffAttention",
        "gqa": "zoo_attention.grouped:GroupedQuery",
        "mla": "zoo_attention.latent:LatentAttention",
        "mqa": "zoo_attention.grouped:MultiQuery",
    }
