"""Residual layers: where the norms stand."""

import zoo


@zoo.hookimpl
def zoo_blocks() -> dict[str, str]:
    """Offer norm before and norm after."""
    return {"postnorm": "zoo_block.postnorm:PostNorm", "prenorm": "zoo_block.prenorm:PreNorm"}
