"""Attention to summaries of the past, to the blocks that they point at, and to what is near."""

from typing import Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import zoo
from zoo_sparse import selected
from zoo_sparse.choose import best
from zoo_sparse.compressed import Compress, coarse, importance
from zoo_sparse.near import block_size
from zoo_sparse.window import blocked

QUERIES = 512
"""At most so many at a time meet the summaries: fewer than all, as most lie in their future."""


class NsaCache(NamedTuple):
    """What decoding carries; keys and values (b, 2 g, t, e), the keys' heads first."""

    done: int
    past: Tensor
    """All, of which blocks are selected."""
    summaries: Tensor
    recent: Tensor
    """Those that a summary to come will still need."""
    near: Tensor
    """Those that the window still sees."""


class Nsa(zoo.Mixer):
    """Native Sparse Attention (Yuan et al. 2025): three attentions under learned sigmoid gates.

    - compressed: to summaries of blocks of ``compress`` tokens, one every ``stride``, by an MLP
      with ``hidden`` units (twice a head's width if None; the paper does not say);
    - selected: to ``select`` blocks of ``block`` tokens. The first ``initial`` and the last
      ``local``, one's own included, are always among them; the others are those to which the
      compressed attention gave the most weight, in all heads of a group together;
    - sliding window: to the last ``window`` tokens, one's own included.

    Each has keys and values of its own, in ``kv_heads`` heads. Strictly causal, as the paper: a
    query sees a summary when the block has ended. Before the first one the compressed part is zero.

    The defaults are the paper's (32, 16, 64, 16, 512 at 8k tokens or more) brought down for about
    1k tokens: lengths to a quarter or an eighth, blocks to half their number. Positions turn
    queries and keys of the selected and the window attention; the compressed one knows places in
    the block alone, as in native-sparse-attention-pytorch (the paper is silent). That package also
    differs from the paper, whom we follow: one set of keys and values for all three, means of
    scores instead of sums of weights to select by, a learned key beside the summaries, which begin
    before the sequence and are seen a token later.

    Compressed scores take l^2 / ``stride`` products, the rest is linear in the length, and so is
    memory: they are made for some queries at a time, and again backwards. The selection has no
    gradient. Raises ZooError when ``heads`` does not divide ``dim``, ``kv_heads`` not ``heads``,
    ``stride`` not ``compress`` and ``block``, when ``compress`` exceeds ``block`` or ``initial``
    and ``local`` exceed ``select``, or when the position cannot act inside.
    """

    family = "sparse attention"
    paper = "Yuan et al. 2025, arXiv:2502.11089"
    complexity = "l^2"
    positions = frozenset({"none", "embedding", "query_key"})
    default_position = "rope"
    kernels = selected.KERNELS

    def __init__(
        self,
        dim: int,
        *,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        kv_heads: PositiveInt = 1,
        compress: PositiveInt = 8,
        stride: PositiveInt = 4,
        block: PositiveInt = 16,
        select: PositiveInt = 8,
        initial: NonNegativeInt = 1,
        local: PositiveInt = 2,
        window: PositiveInt = 64,
        hidden: PositiveInt | None = None,
        kernel: Literal["auto", "numba", "gathered", "reference"] = "auto",
    ) -> None:
        super().__init__()
        check(heads, kv_heads, compress, stride, block, select, initial, local)
        self.dim, self.heads, self.kv_heads = dim, heads, kv_heads
        self.width = zoo.nn.head_width(dim, heads)
        self.block, self.select, self.initial, self.local = block, select, initial, local
        self.window, self.band, self.kernel = window, zoo.ops.Band.of(window, True), kernel
        # without biases a padding of zeros stays zero, and no NaN in it reaches a product
        self.qkv = nn.Linear(dim, (heads + 6 * kv_heads) * self.width, bias=False)
        shape = (self.width, kv_heads, compress, stride, hidden or 2 * self.width)
        self.compress_k, self.compress_v = Compress(*shape), Compress(*shape)
        self.gates = nn.Linear(dim, 3 * heads)
        self.out = nn.Linear(dim, dim, bias=False)
        self.position = zoo.nn.inner_position(position, dim, heads, self.positions, causal=True)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if lengths is not None:
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        q, turned, recent, past, near = self.project(x, 0)
        y: Tensor = self.join(x, q, turned, past, self.summarise(recent), near, 0)
        return y

    def project(self, x: Float[Tensor, "b l d"], start: int) -> tuple[Tensor, ...]:
        """Queries bare and turned; keys and values to compress, to select from, of the window."""
        heads = rearrange(self.qkv(x), "b l (n e) -> b n l e", e=self.width)
        g = self.kv_heads
        q, recent, past_k, near_k, values = heads.split([self.heads, 2 * g, g, g, 2 * g], dim=1)
        turned = q
        if isinstance(self.position, zoo.QueryKeyPosition):
            turned, keys = self.position(q, torch.cat([past_k, near_k], dim=1), start)
            past_k, near_k = keys.chunk(2, dim=1)
        past_v, near_v = values.chunk(2, dim=1)
        return q, turned, recent, torch.cat([past_k, past_v], 1), torch.cat([near_k, near_v], 1)

    def summarise(self, recent: Float[Tensor, "b n l e"]) -> Float[Tensor, "b n blocks e"]:
        """Of all whole blocks, the first of which begins with ``recent``."""
        k, v = recent.chunk(2, dim=1)
        return torch.cat([self.compress_k(k), self.compress_v(v)], dim=1)

    def join(
        self,
        x: Float[Tensor, "b l d"],
        q: Float[Tensor, "b h l e"],
        turned: Float[Tensor, "b h l e"],
        past: Float[Tensor, "b n t e"],
        summaries: Float[Tensor, "b n s e"],
        near: Float[Tensor, "b n w e"],
        start: int,
    ) -> Float[Tensor, "b l d"]:
        """The three attentions of the queries, the first of which is at ``start``."""
        # compiled loops for one token take longer to call than to run
        run = self.pick(q).run if q.shape[2] > 1 else selected.gathered
        compressed, chosen = self.look(q, summaries, start, past.shape[2])
        k, v = past.chunk(2, dim=1)
        fine = run(turned, k, v, chosen, self.block, True, None, start)
        nearby = self.slide(turned, near, start)
        gates = rearrange(self.gates(x).sigmoid(), "b l (n h) -> n b h l 1", n=3)
        y = gates[0] * compressed + gates[1] * fine + gates[2] * nearby
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def slide(self, q: Tensor, near: Tensor, start: int) -> Tensor:
        """Attention to the window."""
        k, v = near.chunk(2, dim=1)
        bias = zoo.ops.AttentionBias(True, self.band, start=start)
        run = zoo.ops.REFERENCE.run if self.kernel == "reference" else blocked
        y: Tensor = run(q, k, v, bias)
        return y

    def look(self, q: Tensor, summaries: Tensor, start: int, length: int) -> tuple[Tensor, Tensor]:
        """Attention to the summaries, and the blocks (b, g, l, n) of ``length`` tokens selected."""
        parts = []
        for first, last, sees in self.spans(len(q), q.shape[2], start):
            some = q[:, :, first:last], summaries[:, :, :sees], start + first, length
            if torch.is_grad_enabled() and last - first < q.shape[2]:
                parts.append(checkpoint(self.glance, *some, use_reentrant=False))
            else:
                parts.append(self.glance(*some))
        ys, chosen = zip(*parts, strict=True)
        return torch.cat(ys, dim=2), torch.cat(chosen, dim=2)

    def spans(self, batch: int, queries: int, start: int = 0) -> list[tuple[int, int, int]]:
        """(first, last, summaries in sight of the last) of so many queries at a time."""
        most = max(1, batch * self.heads * self.compress_k.blocks(start + queries))
        size = min(QUERIES, max(16, selected.ROOM // most))
        ends = [min(first + size, queries) for first in range(0, max(queries, 1), size)]
        return [
            (at * size, end, self.compress_k.blocks(start + end)) for at, end in enumerate(ends)
        ]

    def glance(
        self, q: Tensor, summaries: Tensor, start: int, length: int
    ) -> tuple[Tensor, Tensor]:
        """The same for some queries and the summaries that they see."""
        k, v = summaries.chunk(2, dim=1)
        at = torch.arange(start, start + q.shape[2], device=q.device)
        size, stride = self.compress_k.size, self.compress_k.stride
        y, weights = coarse(q, k, v, ((at + 1 - size) // stride + 1).clamp(min=0))
        with torch.no_grad():
            blocks = -(-length // self.block)
            scores = importance(weights, size=size, stride=stride, block=self.block, blocks=blocks)
            number, own = torch.arange(blocks, device=q.device), at[:, None] // self.block
            always = (number < self.initial) | (number > own - self.local)
            scores = scores.masked_fill(always, torch.inf).masked_fill(number > own, -torch.inf)
            return y, best(scores, min(self.select, blocks))

    def initial_state(self, batch: int) -> NsaCache:
        empty = self.qkv.weight.new_empty(batch, 2 * self.kv_heads, 0, self.width)
        return NsaCache(0, empty, empty, empty, empty)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: NsaCache | None = None
    ) -> tuple[Float[Tensor, "b l d"], NsaCache]:
        before = self.initial_state(len(x)) if state is None else state
        q, turned, *more = self.project(x, before.done)
        olds = before.recent, before.past, before.near
        # under autocast the empty cache is wider than the keys
        recent, past, near = (
            torch.cat([old.to(new.dtype), new], 2) for old, new in zip(olds, more, strict=True)
        )
        new = self.summarise(recent)
        summaries = torch.cat([before.summaries.to(new.dtype), new], dim=2)
        y = self.join(x, q, turned, past, summaries, near, before.done)
        used, gone = new.shape[2] * self.compress_k.stride, near.shape[2] - self.window + 1
        # a slice would keep the rest in memory
        recent = recent[:, :, used:].clone() if used else recent
        near = near[:, :, gone:].clone() if gone > 0 else near
        return y, NsaCache(before.done + x.shape[1], past, summaries, recent, near)

    def step(
        self, x: Float[Tensor, "b d"], state: NsaCache
    ) -> tuple[Float[Tensor, "b d"], NsaCache]:
        y, state = self.prefill(x[:, None], state)
        return y[:, 0], state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        layers = (self.qkv, self.gates, self.out)
        matmul = 2 * batch * length * sum(layer.weight.numel() for layer in layers)
        matmul += 2 * batch * self.kv_heads * self.compress_k.flops(length)
        pairs = sum((last - first) * sees for first, last, sees in self.spans(batch, length))
        blocks = -(-length // self.block)
        pairs += length * min(self.select, blocks) * min(self.block, length)
        band = self.band.within(length)
        size = block_size(band, length)
        pairs += -(-length // size) * size * (size + band.left)
        scores = batch * self.heads * pairs
        # scale, maximum, difference, exp, quotient
        return zoo.Flops(matmul + 4 * scores * self.width, other=5 * scores)

    def state_size(self, length: int) -> int:
        summaries = self.compress_k.blocks(length)
        recent = length - summaries * self.compress_k.stride
        tokens = length + summaries + recent + min(length, self.window - 1)
        return 2 * self.kv_heads * self.width * tokens


def check(
    heads: int,
    kv_heads: int,
    compress: int,
    stride: int,
    block: int,
    select: int,
    initial: int,
    local: int,
) -> None:
    """Raise ZooError for sizes that do not fit each other."""
    if heads % kv_heads:
        raise zoo.ZooError(
            f"mixer.kv_heads={kv_heads} does not divide mixer.heads={heads}; try mixer.kv_heads=1"
        )
    if compress % stride or block % stride:
        raise zoo.ZooError(
            f"mixer.stride={stride} must divide mixer.compress={compress} and mixer.block={block}; "
            "try mixer.stride=1, or a common divisor"
        )
    if compress > block:
        raise zoo.ZooError(
            f"mixer.compress={compress} exceeds mixer.block={block}; try mixer.block={compress}"
        )
    if not 0 <= initial <= select - local:
        raise zoo.ZooError(
            f"mixer.initial={initial} and mixer.local={local} blocks are always selected, but "
            f"mixer.select={select}; try mixer.select={max(0, initial) + local}"
        )
