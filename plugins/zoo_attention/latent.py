"""Attention whose keys and values are made from one narrow latent: the cache is the latent."""

from math import sqrt

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_attention.full import KernelName

State = tuple[int, Tensor]
"""Tokens so far; their latents and turned keys side by side, (b, t, c + r)."""


class LatentAttention(zoo.Mixer):
    """Multi-head latent attention of DeepSeek-V2 (DeepSeek-AI 2024).

    A token's latent, ``kv_rank`` (c) wide and RMS-normed, gives the keys and values of all
    ``heads`` by one linear map. Where a position turns queries and keys it does so to a part of
    their own, ``rope_width`` (r) wide, whose key all heads share; with no position, or one on the
    embeddings, there is no such part. Scores are divided by sqrt(e + r), e = dim / heads.
    ``q_rank`` compresses queries likewise (None: not at all, as in DeepSeek-V2-Lite).

    None stands for kv_rank = 4e as in the paper, but no more than dim / 2, and for rope_width = e/2
    as in the paper, in whole fours and no fewer. Values are e wide, as in all the authors' models.
    The norms are not in the paper's equations but among its hyper-parameters, and in its code.

    Decoding keeps the latents and never makes keys or values of the past: the map to the keys is
    moved over to the query, that to the values behind the sum. Raises ZooError when ``heads`` does
    not divide ``dim`` or the position cannot act inside.
    """

    family = "attention"
    paper = "DeepSeek-AI 2024, arXiv:2405.04434"
    complexity = "l^2"
    directions = frozenset({"causal", "bidirectional"})
    positions = frozenset({"none", "embedding", "query_key"})
    default_position = "rope"
    kernels = zoo.ops.ATTENTIONS

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        position: zoo.PositionFactory | None = None,
        heads: PositiveInt = 4,
        kv_rank: PositiveInt | None = None,
        q_rank: PositiveInt | None = None,
        rope_width: PositiveInt | None = None,
        kernel: KernelName = "auto",
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.width = dim, heads, zoo.nn.head_width(dim, heads)
        self.causal, self.kernel = causal, kernel
        self.rank = kv_rank or min(4 * self.width, max(1, dim // 2))
        turned = rope_width or max(4, self.width // 8 * 4)
        self.position = self.decoupled(position, turned)
        self.turned = 0 if self.position is None else turned
        inner = heads * (self.width + self.turned)
        self.q: nn.Module = nn.Linear(dim, inner, bias=False)
        if q_rank is not None:
            self.q = nn.Sequential(
                nn.Linear(dim, q_rank, bias=False),
                nn.RMSNorm(q_rank, eps=1e-6),
                nn.Linear(q_rank, inner, bias=False),
            )
        self.q_rank = q_rank
        self.latent = nn.Linear(dim, self.rank + self.turned, bias=False)
        self.norm = nn.RMSNorm(self.rank, eps=1e-6)
        self.kv = nn.Linear(self.rank, 2 * dim, bias=False)  # per head: its key, its value
        self.out = nn.Linear(dim, dim, bias=False)

    def decoupled(
        self, position: zoo.PositionFactory | None, turned: int
    ) -> zoo.QueryKeyPosition | None:
        """The position, built for the part of the heads that is its own."""
        try:
            built = zoo.nn.inner_position(
                position, turned * self.heads, self.heads, self.positions, causal=self.causal
            )
        except zoo.ZooError:
            whole = -(-turned // 4) * 4
            if whole == turned:
                raise
            self.decoupled(position, whole)  # it may be something else that is wrong
            raise zoo.ZooError(
                f"mixer.rope_width={turned} is no width that the position can turn; try "
                f"mixer.rope_width={whole}"
            ) from None
        return built  # type: ignore[return-value]

    def project(
        self, x: Float[Tensor, "b l d"], start: int = 0
    ) -> tuple[Float[Tensor, "b h l e"], Float[Tensor, "b h l r"], Float[Tensor, "b l f"]]:
        """Both parts of the queries, and what the cache keeps of each token."""
        q = rearrange(self.q(x), "b l (h e) -> b h l e", h=self.heads)
        q, q_turned = q.split([self.width, self.turned], dim=-1)
        latent, k_turned = self.latent(x).split([self.rank, self.turned], dim=-1)
        # autocast leaves the norm wider
        latent = self.norm(latent.to(self.norm.weight.dtype)).to(latent.dtype)
        if self.position is not None:
            q_turned, k_turned = self.position(q_turned, k_turned[:, None], start)
            latent = torch.cat([latent, k_turned[:, 0]], dim=-1)
        return q, q_turned, latent

    def expanded(
        self, q: Tensor, q_turned: Tensor, kept: Tensor, bias: zoo.ops.AttentionBias
    ) -> Float[Tensor, "b h l e"]:
        """Keys and values of every head made from what is kept: cheapest for many queries."""
        latent, turned = kept[..., : self.rank], kept[..., self.rank :]
        k, v = rearrange(self.kv(latent), "b l (h two e) -> two b h l e", two=2, h=self.heads)
        k = torch.cat([k, turned[:, None].expand(-1, self.heads, -1, -1)], dim=-1)
        q = torch.cat([q, q_turned], dim=-1)
        y: Tensor = self.pick(q, bias).run(q, k, v, bias)
        return y

    def absorbed(
        self, q: Tensor, q_turned: Tensor, kept: Tensor, bias: zoo.ops.AttentionBias
    ) -> Float[Tensor, "b h l e"]:
        """The same by what is kept as the one key and value of all heads: cheapest for few."""
        to_key, to_value = rearrange(
            self.kv.weight, "(h two e) c -> two h e c", two=2, h=self.heads
        )
        met = einsum(q, to_key, "b h l e, h e c -> b h l c")
        met = torch.cat([met, q_turned], dim=-1)
        # the kernel divides by the root of what it meets
        met = met * sqrt(met.shape[-1] / (self.width + self.turned))
        reference = self.kernel == "reference"
        kernel = zoo.ops.REFERENCE if reference else zoo.ops.SDPA  # others take no such widths
        y = kernel.run(met, kept[:, None], kept[:, None], bias)[..., : self.rank]
        heads: Tensor = einsum(y, to_value, "b h l c, h e c -> b h l e")
        return heads

    def absorbs(self, new: int, tokens: int) -> bool:
        """Whether ``new`` queries of ``tokens`` tokens take fewer products absorbed."""
        dearer = new * tokens * self.heads * (self.rank - self.width)
        return tokens > new and dearer < (tokens - new) * self.rank * self.dim

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        if lengths is not None:
            x = x.masked_fill(~zoo.nn.real_positions(lengths, x)[..., None], 0)
        y = self.expanded(*self.project(x), zoo.ops.AttentionBias(self.causal, lengths=lengths))
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed

    def initial_state(self, batch: int) -> State:
        return 0, self.latent.weight.new_empty(batch, 0, self.rank + self.turned)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: State | None = None
    ) -> tuple[Float[Tensor, "b l d"], State]:
        if not self.causal:
            raise zoo.ZooError(
                "a bidirectional LatentAttention cannot decode; build it with causal=True"
            )
        start, kept = self.initial_state(len(x)) if state is None else state
        q, q_turned, new = self.project(x, start)
        kept = torch.cat([kept.to(new.dtype), new], dim=1)
        done = start + x.shape[1]
        attend = self.absorbed if self.absorbs(x.shape[1], done) else self.expanded
        y = attend(q, q_turned, kept, zoo.ops.AttentionBias(causal=True, start=start))
        return self.out(rearrange(y, "b h l e -> b l (h e)")), (done, kept)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        y, state = self.prefill(x[:, None], state)
        return y[:, 0], state

    def flops(self, batch: int, length: int) -> zoo.Flops:
        maps = [m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear)]
        scores = batch * self.heads * length**2
        # values are padded to the width of the queries, as fused kernels want them
        matmul = 2 * batch * length * sum(maps) + 4 * scores * (self.width + self.turned)
        norms = 5 * batch * length * (self.rank + (self.q_rank or 0))
        return zoo.Flops(matmul, other=5 * scores + norms)

    def state_size(self, length: int) -> int:
        return length * (self.rank + self.turned)
