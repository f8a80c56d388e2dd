"""The Long Range Arena."""

import zoo


@zoo.hookimpl
def zoo_tasks() -> dict[str, str]:
    """Offer the shelf."""
    return {"lra/listops": "zoo_lra.listops:ListOps"}
