"""Attention whose queries share keys and values: a smaller cache."""

from pydantic import PositiveInt

import zoo
from zoo_attention.full import Attention, KernelName


class GroupedQuery(Attention):
    """Attention with ``kv_heads`` heads of keys and values for all ``heads`` of queries.

    Ainslie et al. 2023: the cache is kv_heads / heads as large as that of `attention`. Query head i
    reads key head i // (heads / kv_heads), as in Llama. Raises ZooError when ``heads`` does not
    divide ``dim``, ``kv_heads`` does not divide ``heads``, or the position cannot act inside.
    """

    paper = "Ainslie et al. 2023, arXiv:2305.13245"

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        kv_heads: PositiveInt = 2,
        qk_norm: bool = False,
        sinks: bool = False,
        kernel: KernelName = "auto",
    ) -> None:
        super().__init__(
            dim,
            causal=causal,
            position=position,
            heads=heads,
            kv_heads=kv_heads,
            qk_norm=qk_norm,
            sinks=sinks,
            kernel=kernel,
        )


class MultiQuery(Attention):
    """Attention with one head of keys and values for all ``heads`` of queries (Shazeer 2019).

    Raises ZooError when ``heads`` does not divide ``dim`` or the position cannot act inside.
    """

    paper = "Shazeer 2019, arXiv:1911.02150"

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        qk_norm: bool = False,
        sinks: bool = False,
        kernel: KernelName = "auto",
    ) -> None:
        super().__init__(
            dim,
            causal=causal,
            position=position,
            heads=heads,
            kv_heads=1,
            qk_norm=qk_norm,
            sinks=sinks,
            kernel=kernel,
        )
