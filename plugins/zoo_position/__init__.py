"""Where a token stands, told to embeddings or to queries and keys."""

import zoo


@zoo.hookimpl
def zoo_positions() -> dict[str, str]:
    """Offer no position, two on embeddings, one on queries and keys."""
    return {
        "learned": "zoo_position.learned:Learned",
        "none": "zoo_position.none:Nowhere",
        "rope": "zoo_position.rope:Rope",
        "sinusoidal": "zoo_position.sinusoidal:Sinusoidal",
    }
