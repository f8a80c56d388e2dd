"""The nearest keys, or every so many-th of them, and the first tokens of all."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

import zoo
from zoo_sparse.pattern import Pattern


def block_size(band: zoo.ops.Band, length: int) -> int:
    """Queries per block: narrow wastes few keys, wide copies few of them and keeps a core busy.

    Measured on a CPU, forward and backward: 32 is best for windows up to 64, 128 for 512.
    """
    window = band.left + 1 + band.right
    size = max(32, window // 4, min(window // 2, 128))
    return max(1, min(length, -(-size // 16) * 16))


@dataclass(frozen=True)
class Near(Pattern):
    """Keys n ``dilation`` away, n from -left to right of ``band``, and the first ``sinks``."""

    band: zoo.ops.Band
    dilation: int = 1
    sinks: int = 0

    @property
    def uniform(self) -> bool:
        return not self.sinks

    def sees(self, query_at: Int[Tensor, "..."], key_at: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        distance = key_at - query_at
        first, last = -self.band.left * self.dilation, self.band.right * self.dilation
        near = (distance >= first) & (distance <= last)
        if self.dilation > 1:
            near = near & (distance % self.dilation == 0)
        return near | ((key_at >= 0) & (key_at < self.sinks)) if self.sinks else near

    def rows(self, start: int, stop: int, device: torch.device) -> Int[Tensor, "n c"]:
        apart = min(self.dilation, stop - start)  # fewer tokens are a row each
        each = -(-(stop - start) // apart)
        size = block_size(self.band.within(stop), each)
        at = torch.arange(start, start + -(-each // size) * size * apart, device=device)
        # a stretch of size * apart tokens holds a row for each remainder
        return at.view(-1, size, apart).transpose(1, 2).reshape(-1, size)

    def keys(self, rows: Int[Tensor, "n c"], total: int) -> Int[Tensor, "n s"]:
        reach = -(-total // self.dilation)
        left, right = self.band.within(reach)
        steps = torch.arange(-left, rows.shape[1] + right, device=rows.device)
        near = rows[:, :1] + steps * self.dilation
        if not self.sinks:
            return near
        first = torch.arange(min(self.sinks, total), device=rows.device).expand(len(rows), -1)
        return torch.cat([first, near.masked_fill(near < self.sinks, -1)], dim=1)

    def kept(self, done: int, device: torch.device) -> Int[Tensor, " k"] | None:
        oldest = max(0, done - self.band.left * self.dilation)
        first = torch.arange(min(self.sinks, oldest), device=device)
        return torch.cat([first, torch.arange(oldest, done, device=device)])
