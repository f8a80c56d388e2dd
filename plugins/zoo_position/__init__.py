"""Where a token stands, told to embeddings, to queries and keys, or to their scores."""

import zoo


@zoo.hookimpl
def zoo_positions() -> dict[str, str]:
    """Offer no position, and those on embeddings, on queries and keys, on scores."""
    return {
        "alibi": "zoo_position.alibi:ALiBi",
        "cope": "zoo_position.cope:CoPE",
        "fire": "zoo_position.fire:Fire",
        "learned": "zoo_position.learned:Learned",
        "none": "zoo_position.none:Nowhere",
        "rope": "zoo_position.rope:Rope",
        "rope_2d": "zoo_position.rope_2d:Rope2D",
        "shaw": "zoo_position.shaw:Shaw",
        "sinusoidal": "zoo_position.sinusoidal:Sinusoidal",
        "sinusoidal_2d": "zoo_position.sinusoidal_2d:Sinusoidal2D",
        "t5": "zoo_position.t5:T5",
        "xpos": "zoo_position.xpos:XPos",
    }
