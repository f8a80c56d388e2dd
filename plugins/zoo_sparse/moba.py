"""Attention to one's own block of keys and to the few others whose mean answers best."""

from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor

import zoo
from zoo_sparse import selected
from zoo_sparse.choose import best

MobaCache = tuple[int, Tensor, Tensor, Tensor]
"""Tokens so far, their keys and values (b, g, t, e), the means of whole blocks (b, g, n, e)."""


class Moba(zoo.AttentionMixer):
    """Mixture of Block Attention (Lu et al. 2025).

    Keys come in blocks of ``block``. Each query of each head sees its own block, and of the others
    the ``select`` - 1 whose mean key has the greatest product with it; one softmax over all of
    their keys. As in the authors' code ``select`` counts the own block, and the products that
    choose have no gradient. Causal: of its own block a query sees the past, and it may choose
    blocks before it. Bidirectional (ours: the paper is causal): all of its own, and any other;
    padding counts in no mean.

    The defaults are the paper's at 8k tokens, a block of 512 and 3 of them, for an eighth of the
    length. Choosing takes products with l / ``block`` means for each of l queries: quadratic in
    the length with a small constant; the rest is linear. Positions turn queries and keys before
    the means are taken. A step costs what its blocks do, and the products with the means. Raises
    ZooError when ``heads`` does not divide ``dim``, ``kv_heads`` does not divide ``heads``, or the
    position cannot act inside.
    """

    family = "sparse attention"
    paper = "Lu et al. 2025, arXiv:2502.13189"
    kernels = selected.KERNELS

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        kv_heads: PositiveInt | None = None,
        block: PositiveInt = 64,
        select: PositiveInt = 3,
        kernel: Literal["auto", "numba", "gathered", "reference"] = "auto",
    ) -> None:
        super().__init__(
            dim, causal=causal, position=position, heads=heads, kv_heads=kv_heads, kernel=kernel
        )
        self.block, self.select = block, select

    def attend(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        lengths: Int[Tensor, " b"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "b h q e"]:
        lengths = None if self.causal else lengths
        return self.read(q, k, v, self.means(k, lengths), lengths, start)

    def means(
        self, k: Float[Tensor, "b g k e"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b g n e"]:
        """The mean key of each block; of its tokens alone, where it is not whole."""
        exact, size = torch.promote_types(k.dtype, torch.float32), selected.fitting(self.block, k)
        blocks = F.pad(k.detach().to(exact), (0, 0, 0, -k.shape[2] % size))
        total = reduce(blocks, "b g (n c) e -> b g n e", "sum", c=size)
        ends = k.new_tensor([k.shape[2]], dtype=torch.long) if lengths is None else lengths
        first = torch.arange(0, k.shape[2], size, device=k.device)
        tokens = (ends.to(k.device)[:, None] - first).clamp(1, size)
        return total / rearrange(tokens, "b n -> b 1 n 1")

    def read(
        self,
        q: Float[Tensor, "b h q e"],
        k: Float[Tensor, "b g k e"],
        v: Float[Tensor, "b g k e"],
        means: Float[Tensor, "b g n e"],
        lengths: Int[Tensor, " b"] | None,
        start: int,
    ) -> Float[Tensor, "b h q e"]:
        """What the queries find in the blocks that they choose."""
        size = max(1, selected.ROOM // max(1, len(q) * self.heads * means.shape[2]))
        parts = [
            self.choose(q[:, :, at : at + size], means, lengths, start + at)
            for at in range(0, max(1, q.shape[2]), size)
        ]
        # compiled loops for one token take longer to call than to run
        run = self.pick(q).run if q.shape[2] > 1 else selected.gathered
        y: Tensor = run(q, k, v, torch.cat(parts, 2), self.block, self.causal, lengths, start)
        return y

    @torch.no_grad()
    def choose(
        self,
        q: Float[Tensor, "b h q e"],
        means: Float[Tensor, "b g n e"],
        lengths: Int[Tensor, " b"] | None,
        start: int,
    ) -> Int[Tensor, "b h q s"]:
        """The blocks that each query sees, its own first."""
        number = torch.arange(means.shape[2], device=q.device)
        own = torch.arange(start, start + q.shape[2], device=q.device)[:, None] // self.block
        heads = means.repeat_interleave(self.heads // self.kv_heads, dim=1)
        able = torch.amp.is_autocast_available(q.device.type)  # not on meta
        # bfloat16 would leave 8 bits to choose by
        with torch.autocast(q.device.type, enabled=False) if able else nullcontext():
            scores = q.to(means.dtype) @ heads.mT
        if self.causal:
            scores = scores.masked_fill(number > own, -torch.inf)
        if lengths is not None:
            empty = number * self.block >= lengths.to(q.device)[:, None]
            scores = scores.masked_fill(empty[:, None, None], -torch.inf)
        scores = scores.masked_fill(number == own, torch.inf)
        return best(scores, min(self.select, means.shape[2]))

    def initial_state(self, batch: int) -> MobaCache:  # type: ignore[override] # a mean more
        done, keys, values = super().initial_state(batch)
        return done, keys, values, keys.to(torch.promote_types(keys.dtype, torch.float32))

    def prefill(  # type: ignore[override]
        self, x: Float[Tensor, "b l d"], state: MobaCache | None = None
    ) -> tuple[Float[Tensor, "b l d"], MobaCache]:
        if not self.causal:
            raise zoo.ZooError("a bidirectional Moba cannot decode; build it with causal=True")
        start, keys, values, means = self.initial_state(len(x)) if state is None else state
        q, k, v = self.project(x, start)
        keys = torch.cat([keys.to(k.dtype), k], dim=2)  # under autocast the empty cache is wider
        values = torch.cat([values.to(v.dtype), v], dim=2)
        done = start + x.shape[1]
        more = self.means(keys[:, :, means.shape[2] * self.block :])
        known = torch.cat([means, more], dim=2)  # the last may be of part of a block
        y = self.read(q, keys, values, known, None, start)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        whole = done // self.block
        means = known if whole == known.shape[2] else known[:, :, :whole].clone()
        return mixed, (done, keys, values, means)

    def step(  # type: ignore[override]
        self, x: Float[Tensor, "b d"], state: MobaCache
    ) -> tuple[Float[Tensor, "b d"], MobaCache]:
        y, state = self.prefill(x[:, None], state)
        return y[:, 0], state

    def pairs(self, length: int) -> int:
        blocks = -(-length // self.block)
        return length * min(self.select, blocks) * min(self.block, length)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        blocks = -(-length // self.block)
        choice = 2 * batch * self.heads * length * blocks * self.width
        return super().flops(batch, length) + zoo.Flops(choice)

    def state_size(self, length: int) -> int:
        width = self.kv_heads * self.width
        return 2 * length * width + length // self.block * width
