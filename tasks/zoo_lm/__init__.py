"""Language modelling."""

import zoo


@zoo.hookimpl
def zoo_tasks() -> dict[str, str]:
    """Offer the shelf."""
    return {"lm/python": "zoo_lm.python:Python"}
