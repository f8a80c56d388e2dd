"""BigBird: a window, some global and some random blocks make a sparse graph that mixes fast."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

import zoo
from zoo_sparse.blocks import Blocks
from zoo_sparse.mixer import SparseMixer


class BigBird(SparseMixer):
    """Blocks that see 3 near blocks, 2 global and 3 random ones (Zaheer et al. 2020, ITC form).

    ``window`` counts blocks, one's own included; the first ``globals`` blocks see all and are seen
    by all; ``random`` others are drawn with ``seed`` for each layer and block. The authors' code
    takes the first and the last block as global, which no causal form could have and where padding
    would decide which it is, and draws for each head; one graph for all heads is equation (1). They
    draw anew for each length, here a bidirectional block draws from ``max_length`` tokens.

    The paper has an encoder. Causal, the window ends with one's own block, random blocks are drawn
    from the past, and a global block sees its past as all do. The cache keeps all keys, as a later
    block may draw any; a step reads a constant number. Raises ZooError when ``heads`` does not
    divide ``dim``, ``kv_heads`` does not divide ``heads`` or the position cannot act inside.
    """

    paper = "Zaheer et al. 2020, arXiv:2007.14062"
    complexity = "l"

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        layer: int = 0,
        max_length: int = 4096,
        heads: PositiveInt = 4,
        kv_heads: PositiveInt | None = None,
        block: PositiveInt = 64,
        window: PositiveInt = 3,
        globals: NonNegativeInt = 2,
        random: NonNegativeInt = 3,
        seed: NonNegativeInt = 0,
        kernel: Literal["auto", "blocked", "reference"] = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, kv_heads=kv_heads, kernel=kernel
        )
        self.blocks = Blocks(
            block,
            zoo.ops.Band.of(window, causal),
            first=globals,
            random=random,
            seed=1000 * seed + layer,
            longest=-(-max_length // block),
            causal=causal,
            wide=globals * block,
        )

    @property
    def pattern(self) -> Blocks:
        return self.blocks
