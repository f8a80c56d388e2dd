"""Tasks made of random symbols, each asking for one ability."""

import zoo


@zoo.hookimpl
def zoo_tasks() -> dict[str, str]:
    """Offer the shelf."""
    return {"copy": "zoo_synthetic.copying:Copy"}
