"""State space models: recurrences with a linear state, scanned along the length."""

import zoo


@zoo.hookimpl
def zoo_mixers() -> dict[str, str]:
    """Offer the shelf."""
    return {
        "h3": "zoo_ssm.h3:H3",
        "lru": "zoo_ssm.lru:LRU",
        "mamba": "zoo_ssm.mamba:Mamba",
        "mamba2": "zoo_ssm.mamba2:Mamba2",
        "mamba3": "zoo_ssm.mamba3:Mamba3",
        "s4": "zoo_ssm.s4:S4",
        "s4d": "zoo_ssm.s4d:S4D",
        "s5": "zoo_ssm.s5:S5",
    }
