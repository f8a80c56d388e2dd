"""The Sparse Transformer with its strided pattern."""

from math import ceil, sqrt
from typing import Literal

from pydantic import PositiveInt

import zoo
from zoo_sparse.mixer import SparseMixer
from zoo_sparse.strided import Strided, strided
from zoo_sparse.strided_fused import FUSED


class SparseStrided(SparseMixer):
    """Attention to the last ``stride`` keys and to every ``stride``-th before (Child et al. 2019).

    ``stride`` is by default about the square root of ``max_length``. This is the paper's merged
    head: the union of both factors in one softmax, no key twice. The paper is causal; bidirectional
    has both without the arrow of time. The cache keeps all keys, as each will be seen again; a step
    reads those that it sees. On a CPU the near and the far are two fused calls, joined by the sums
    below their softmax; elsewhere, and with biases, l sqrt(l) scores are in memory. Raises ZooError
    when ``heads`` does not divide ``dim``, ``kv_heads`` does not divide ``heads`` or the position
    cannot act inside.
    """

    paper = "Child et al. 2019, arXiv:1904.10509"
    complexity = "l sqrt l"
    kernels = (FUSED, zoo.Kernel("strided", strided), zoo.ops.REFERENCE)

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        max_length: int = 1024,
        heads: PositiveInt = 4,
        kv_heads: PositiveInt | None = None,
        stride: PositiveInt | None = None,
        kernel: Literal["auto", "fused", "strided", "reference"] = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, kv_heads=kv_heads, kernel=kernel
        )
        self.stride = stride or ceil(sqrt(max_length))

    @property
    def pattern(self) -> Strided:
        return Strided(self.stride)

    def pairs_and_queries(self, length: int) -> tuple[int, int]:
        if length <= 1:
            return super().pairs_and_queries(length)
        stride = min(self.stride, length)
        rows = ceil(length / stride)
        queries = rows * stride
        pairs = queries * ((2 if self.causal else 3) * stride + rows)
        return pairs, 2 * queries  # a bias for either product
