"""Softmax attention to the nearest keys: linear in the length, blind beyond the window."""

from typing import Literal

from pydantic import PositiveInt

import zoo
from zoo_sparse.mixer import BLOCKED, SparseMixer
from zoo_sparse.near import Near


class Sliding(SparseMixer):
    """Attention to ``window`` keys, one's own included (Beltagy et al. 2020).

    Causal: keys i - window + 1 .. i. Bidirectional: window // 2 to the left and the rest, less
    one's own, to the right. Raises ZooError when ``heads`` does not divide ``dim``, ``kv_heads``
    does not divide ``heads`` or the position cannot act inside.
    """

    paper = "Beltagy et al. 2020, arXiv:2004.05150"
    complexity = "l"
    kernels = (zoo.ops.FLASH_ATTN, zoo.ops.XFORMERS, zoo.ops.FLEX, BLOCKED, zoo.ops.REFERENCE)

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        kv_heads: PositiveInt | None = None,
        window: PositiveInt = 64,
        kernel: Literal["auto", "flash_attn", "xformers", "flex", "blocked", "reference"] = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, kv_heads=kv_heads, kernel=kernel
        )
        self.window = window

    @property
    def band(self) -> zoo.ops.Band:
        return zoo.ops.Band.of(self.window, self.causal)

    @property
    def pattern(self) -> Near:
        return Near(self.band)
