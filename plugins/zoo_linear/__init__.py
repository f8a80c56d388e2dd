"""Attention without softmax: a matrix of key-value products as the state."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer linear attention."""
    return {"linear_attention": "zoo_linear.linear_attention:LinearAttention"}
