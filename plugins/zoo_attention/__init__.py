"""Full attention: the quadratic yardstick."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer full attention."""
    return {"attention": "zoo_attention.full:Attention"}
