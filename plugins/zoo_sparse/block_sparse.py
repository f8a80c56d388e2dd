"""Block-sparse attention by pattern: local, first, every n-th and random blocks."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

import zoo
from zoo_sparse.blocks import Blocks
from zoo_sparse.mixer import SparseMixer


class BlockSparse(SparseMixer):
    """Each block of ``block`` tokens sees a few blocks, as in layouts of DeepSpeed and Triton.

    These are ``local`` of the nearest, its own included (causal: itself and those before it), the
    first ``globals``, every ``stride``-th (0: none; l^2 / stride then), and ``random`` others drawn
    with ``seed`` for each layer (causal: from the past; bidirectional: from ``max_length`` tokens).
    All heads share them; global blocks are seen, and do not see more than others. The cache is
    constant without random and strided blocks. Raises ZooError when ``heads`` does not divide
    ``dim``, ``kv_heads`` does not divide ``heads`` or the position cannot act inside.
    """

    paper = "Gray et al. 2017; Child et al. 2019, arXiv:1904.10509"
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
        block: PositiveInt = 32,
        local: PositiveInt = 3,
        globals: NonNegativeInt = 1,
        stride: NonNegativeInt = 0,
        random: NonNegativeInt = 1,
        seed: NonNegativeInt = 0,
        kernel: Literal["auto", "blocked", "reference"] = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, kv_heads=kv_heads, kernel=kernel
        )
        self.blocks = Blocks(
            block,
            zoo.ops.Band.of(local, causal),
            first=globals,
            stride=stride,
            random=random,
            seed=1000 * seed + layer,
            longest=-(-max_length // block),
            causal=causal,
        )

    @property
    def pattern(self) -> Blocks:
        return self.blocks
