"""The Sparse Transformer's fixed pattern: one's own block, and what every block has to tell."""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import PositiveInt
from torch import Tensor

import zoo
from zoo_sparse.mixer import SparseMixer
from zoo_sparse.pattern import Pattern, blocks_of


@dataclass(frozen=True)
class Fixed(Pattern):
    """All of one's block of ``stride`` tokens, and the last ``summary`` of every block."""

    exact: ClassVar[bool] = True
    stride: int
    summary: int

    def sees(self, query_at: Int[Tensor, "..."], key_at: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        own = query_at // self.stride == key_at // self.stride
        return own | (key_at % self.stride >= self.stride - self.summary)

    def rows(self, start: int, stop: int, device: torch.device) -> Int[Tensor, "n c"]:
        return blocks_of(start, stop, self.stride, device)

    def keys(self, rows: Int[Tensor, "n c"], total: int) -> Int[Tensor, "n s"]:
        mine = rows[:, :1] // self.stride
        own = mine * self.stride + torch.arange(min(self.stride, total), device=rows.device)
        told = self.told(-(-total // self.stride), rows.device)
        return torch.cat([own, torch.where(told // self.stride == mine, -1, told)], dim=1)

    def told(self, blocks: int, device: torch.device) -> Tensor:
        """Positions of the summaries of that many blocks."""
        ends = torch.arange(1, blocks + 1, device=device)[:, None] * self.stride
        return (ends + torch.arange(-self.summary, 0, device=device)).flatten()

    def kept(self, done: int, device: torch.device) -> Int[Tensor, " k"] | None:
        block = done // self.stride
        recent = torch.arange(block * self.stride, done, device=device)
        return torch.cat([self.told(block, device), recent])


class SparseFixed(SparseMixer):
    """Attention to one's own block and to the summaries of the others (Child et al. 2019).

    Blocks have ``stride`` tokens, by default about the square root of ``max_length``; the last
    ``summary`` of a block (c in the paper; at most all) are seen by everyone after it. This is the
    paper's merged head: the union of both factors in one softmax, no key twice. All heads have the
    same summaries (the paper prefers others for each). The paper is causal; bidirectional is its
    pattern without the arrow of time. The cache keeps summaries and the current block. Raises
    ZooError when ``heads`` does not divide ``dim``, ``kv_heads`` does not divide ``heads`` or the
    position cannot act inside.
    """

    paper = "Child et al. 2019, arXiv:1904.10509"
    complexity = "l sqrt l"

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
        summary: PositiveInt = 4,
        kernel: Literal["auto", "blocked", "reference"] = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, kv_heads=kv_heads, kernel=kernel
        )
        self.stride = stride or ceil(sqrt(max_length))
        self.summary = min(summary, self.stride)

    @property
    def pattern(self) -> Fixed:
        return Fixed(self.stride, self.summary)
