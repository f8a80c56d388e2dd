"""Attention without softmax: a recurrence in disguise, with a matrix for a state."""

from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo
from zoo_linear.kernelized import (
    advance,
    chunk_size,
    chunked,
    normalised,
    reference,
    sums,
    weighed,
)

State = tuple[Tensor, Tensor]  # sum of k v^T (b, h, e, e) and of k (b, h, e)


class LinearAttention(zoo.Mixer):
    """y_i = f(q_i) sum_j f(k_j) v_j^T / f(q_i) sum_j f(k_j) with f = elu + 1.

    After Katharopoulos et al. (2020). The sums are kept in float32 under bfloat16. Raises ZooError
    when ``heads`` does not divide ``dim``.
    """

    family = "linear attention"
    paper = "Katharopoulos et al. 2020, arXiv:2006.16236"
    complexity = "l"
    directions = frozenset({"causal", "bidirectional"})
    positions = frozenset({"none", "embedding"})
    default_position = "sinusoidal"
    kernels = (zoo.Kernel("chunked", chunked), zoo.Kernel("reference", reference))

    def __init__(
        self,
        dim: int,
        *,
        causal: bool = True,
        heads: PositiveInt = 4,
        kernel: Literal["auto", "chunked", "reference"] = "auto",
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.width = dim, heads, zoo.nn.head_width(dim, heads)
        self.causal, self.kernel = causal, kernel
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        keep = None
        if lengths is not None:
            keep = zoo.nn.real_positions(lengths, x)
            x = x.masked_fill(~keep[..., None], 0)
        qkv = self.qkv(x)
        q, k, v = rearrange(qkv, "b l (three h e) -> three b h l e", three=3, h=self.heads)
        with full_precision(x):
            q, k, v = feature(q), feature(k), widen(v)
            if keep is not None and not self.causal:
                k = k.masked_fill(~keep[:, None, :, None], 0)  # the feature of a zero is one
            y = self.pick(q).run(q, k, v, self.causal)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)").to(qkv.dtype))
        return mixed

    def initial_state(self, batch: int) -> State:
        width = self.width
        weight = widen(self.qkv.weight[:0])
        shape = batch, self.heads, width
        return weight.new_zeros(*shape, width), weight.new_zeros(*shape)

    def prefill(
        self, x: Float[Tensor, "b l d"], state: State | None = None
    ) -> tuple[Float[Tensor, "b l d"], State]:
        if not self.causal or self.kernel == "reference":
            return super().prefill(x, state)
        total, weight = self.initial_state(len(x)) if state is None else state
        qkv = self.qkv(x)
        q, k, v = rearrange(qkv, "b l (three h e) -> three b h l e", three=3, h=self.heads)
        with full_precision(x):
            q, k, v = feature(q), feature(k), weighed(widen(v))
            past = torch.cat([total, weight[..., None]], dim=-1)  # (b, h, e, e + 1)
            y = normalised(sums(q, k, v, causal=True) + q @ past)
            past = past + k.mT @ v
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)").to(qkv.dtype))
        return mixed, (past[..., :-1].contiguous(), past[..., -1].contiguous())

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        if not self.causal:
            raise zoo.ZooError(
                "a bidirectional linear attention cannot decode; build it with causal=True"
            )
        qkv = self.qkv(x)
        q, k, v = rearrange(qkv, "b (three h e) -> three b h e", three=3, h=self.heads)
        with full_precision(x):
            y, total, weight = advance(feature(q), feature(k), widen(v), *state)
        return self.out(rearrange(y, "b h e -> b (h e)").to(qkv.dtype)), (total, weight)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        width = self.width
        tokens = batch * length * self.heads  # in all heads
        projections = 8 * batch * length * self.dim**2
        # the features, exp and choice and sum of queries and keys; the quotient
        other = 7 * tokens * width
        if not self.causal:
            return zoo.Flops(projections + 4 * tokens * width * (width + 1), other)
        size = chunk_size(width, length)
        tokens = batch * ceil(length / size) * size * self.heads
        scores = 2 * size * (2 * width + 1)
        return zoo.Flops(
            projections + tokens * (scores + 4 * width * (width + 1)),
            other + tokens * width * (width + 1) // size,
        )

    def state_size(self, length: int) -> int:
        return self.dim * (self.width + 1)


def feature(x: Tensor) -> Tensor:
    """elu + 1: positive, and one at zero."""
    return F.elu(widen(x)) + 1


def widen(x: Tensor) -> Tensor:
    """At least float32: a long sum in bfloat16 stops growing after 256 terms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """No autocast, which would narrow the products again."""
    device = x.device.type
    known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known else nullcontext()
