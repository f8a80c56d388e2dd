"""No position: the mixer, or the causal mask alone, must tell the order."""

import zoo


class Nowhere(zoo.NoPosition):
    """Does nothing, everywhere.

    A causal transformer can still learn the order (Haviv et al. 2022, arXiv:2203.16634).
    """

    paper = "Haviv et al. 2022, arXiv:2203.16634"

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
