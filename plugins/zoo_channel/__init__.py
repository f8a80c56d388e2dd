"""The feed-forward half of a layer."""

import zoo


@zoo.hookimpl
def zoo_channels() -> dict[str, str]:
    """Offer the plain and the gated one, and none."""
    return {
        "mlp": "zoo_channel.mlp:Mlp",
        "none": "zoo_channel.none:Nothing",
        "swiglu": "zoo_channel.swiglu:SwiGlu",
    }
