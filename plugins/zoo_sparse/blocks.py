"""Blocks that see blocks: the nearest, the first, every so many-th, and some drawn at random."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

import zoo
from zoo_sparse.pattern import Pattern, blocks_of


@dataclass(frozen=True)
class Blocks(Pattern):
    """Blocks of ``size`` tokens: ``local`` counts blocks, the ``first`` and every ``stride``-th (0:
    none) are seen by all.

    ``random`` more are drawn for each block with ``seed``, without repetition, from those that it
    would not see for being local or first: of the first ``longest`` blocks, or when ``causal`` of
    its past. So what is drawn never depends on the length of the sequence.
    """

    exact: ClassVar[bool] = True
    size: int
    local: zoo.ops.Band
    first: int = 0
    stride: int = 0
    random: int = 0
    seed: int = 0
    longest: int = 0
    causal: bool = True
    wide: int = 0

    def sees(self, query_at: Int[Tensor, "..."], key_at: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        mine, other = query_at // self.size, key_at // self.size
        distance = other - mine
        seen = (distance >= -self.local.left) & (distance <= self.local.right)
        seen = seen | (other < self.first)
        if self.stride:
            seen = seen | ((other + 1) % self.stride == 0)
        for drawn in self.drawn(mine).unbind(-1):
            seen = seen | (other == drawn)
        return seen

    def rows(self, start: int, stop: int, device: torch.device) -> Int[Tensor, "n c"]:
        return blocks_of(start, stop, self.size, device)

    def keys(self, rows: Int[Tensor, "n c"], total: int) -> Int[Tensor, "n s"]:
        mine, blocks = rows[:, :1] // self.size, -(-total // self.size)
        others = self.others(mine, blocks)
        inside = torch.arange(min(self.size, total), device=rows.device)
        tokens = others[..., None] * self.size + inside
        return tokens.masked_fill(others[..., None] < 0, -1).flatten(1)

    def others(self, mine: Int[Tensor, "n 1"], blocks: int) -> Int[Tensor, "n m"]:
        """The blocks that each of ``mine`` may see, none twice; those below 0 are fillers."""
        left, right = self.local.within(blocks)
        local = mine + torch.arange(-left, right + 1, device=mine.device)
        parts = [local.masked_fill((local < self.first) | (local >= blocks), -1)]
        first = torch.arange(min(self.first, blocks), device=mine.device)
        parts.append(first.expand(len(mine), -1))
        if self.stride:
            last = max(blocks, self.stride - 1)
            column = torch.arange(self.stride - 1, last, self.stride, device=mine.device)
            elsewhere = (column >= self.first) & ~self.near(mine, column)
            parts.append(torch.where(elsewhere, column, -1))
        if self.random and blocks > self.first:
            drawn = self.drawn(mine[:, 0])
            new = drawn < blocks
            if self.stride:
                new &= (drawn + 1) % self.stride != 0
            parts.append(torch.where(new, drawn, -1))
        return torch.cat(parts, dim=1)

    def near(self, mine: Tensor, other: Tensor) -> Tensor:
        """Whether ``other`` is local to ``mine``."""
        return (other >= mine - self.local.left) & (other <= mine + self.local.right)

    def drawn(self, mine: Int[Tensor, "..."]) -> Int[Tensor, "... r"]:
        """The random blocks of each block, -1 where there are fewer left than to be drawn.

        Floyd's algorithm: the k-th draw of r is from the first n - r + k + 1 of n, and takes the
        last of these if what it hits is taken.
        """
        low = (mine - self.local.left).clamp(min=self.first)
        high = (mine + self.local.right + 1).clamp(max=self.longest).maximum(low)
        left = low - self.first if self.causal else self.longest - self.first - (high - low)
        picks: list[Tensor] = []
        for k in range(self.random):
            last = left - self.random + k
            pick = shuffled(self.seed, mine, k) % (last + 1).clamp(min=1)
            for taken in picks:
                pick = torch.where(pick == taken, last, pick)
            picks.append(torch.where(last < 0, -1, pick))
        if not picks:
            return mine.new_empty(*mine.shape, 0)
        pick = torch.stack(picks, dim=-1)
        block = pick + self.first
        block = torch.where(block >= low[..., None], block + (high - low)[..., None], block)
        return torch.where(pick < 0, -1, block)

    def kept(self, done: int, device: torch.device) -> Int[Tensor, " k"] | None:
        if self.random:
            return None  # any block may be drawn by a later one
        oldest = max(0, done // self.size - self.local.left)
        blocks = [torch.arange(min(self.first, oldest), device=device)]
        if self.stride:
            begin = self.first + (-self.first - 1) % self.stride
            blocks.append(torch.arange(begin, max(begin, oldest), self.stride, device=device))
        inside = torch.arange(self.size, device=device)
        old = (torch.cat(blocks)[:, None] * self.size + inside).flatten()
        return torch.cat([old, torch.arange(oldest * self.size, done, device=device)])


def shuffled(seed: int, mine: Tensor, k: int) -> Tensor:
    """An even number below 2^32 for each block and draw; integers only, the same everywhere."""
    return mixed(mixed(mixed(torch.full_like(mine, seed % 2**32)) + mine) + k)


def mixed(x: Tensor) -> Tensor:
    """A permutation of 32 bits that leaves no pattern (Wellons 2018, "lowbias32")."""
    x = x & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)
