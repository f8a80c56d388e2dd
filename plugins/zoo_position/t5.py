"""A learned bias for each range of distances: exact near by, ever coarser far off."""

from math import exp, log

import torch
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo


class T5(zoo.RelativePosition):
    """A learned number for each head and bucket of distances (Raffel et al. 2019).

    The nearest half of the ``buckets`` are one distance each; the others grow as its logarithm up
    to ``max_distance``, and the last holds all that is farther, so that no length is too long. A
    bidirectional mixer has half of the buckets for keys before the query, half for keys behind it.

    Each layer learns its own, where T5 shares one table among its layers. It is added to scores
    that are divided by sqrt(e), which T5 leaves to the initial weights; the initial numbers are
    normal, of variance 1/dim as in T5.

    Raises ZooError for too few buckets, or a ``max_distance`` within the exact ones.
    """

    paper = "Raffel et al. 2019, arXiv:1910.10683"

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        causal: bool = True,
        buckets: PositiveInt = 32,
        max_distance: PositiveInt = 128,
    ) -> None:
        super().__init__()
        self.causal, side = causal, buckets if causal else buckets // 2
        if side < 2 or (not causal and buckets % 2):
            raise zoo.ZooError(
                f"position.buckets={buckets}: a {'causal' if causal else 'bidirectional'} mixer "
                f"needs {'2 or more' if causal else 'an even number, 4 or more'}; try "
                "position.buckets=32"
            )
        if max_distance <= side // 2:
            raise zoo.ZooError(
                f"position.max_distance={max_distance} lies within the {side // 2} distances that "
                f"position.buckets={buckets} tells one by one; try position.max_distance="
                f"{8 * (side // 2)}"
            )
        self.side = side
        self.table = nn.Parameter(torch.randn(heads, buckets) * dim**-0.5)
        edges = torch.tensor(boundaries(side, max_distance))
        self.register_buffer("edges", edges, persistent=False)  # whole numbers: no dtype harms them
        self.edges: Tensor

    def bias(self, distance: Int[Tensor, "..."]) -> Float[Tensor, "h ..."]:
        past = (-distance).clamp(min=0) if self.causal else distance.abs()
        bucket = torch.bucketize(past, self.edges, right=True)
        if not self.causal:
            bucket = bucket + self.side * (distance > 0)
        table = self.table.to(torch.promote_types(self.table.dtype, torch.float32))
        return table.index_select(1, bucket.flatten()).view(len(table), *bucket.shape)


def boundaries(buckets: int, max_distance: int) -> list[int]:
    """The first distance of every bucket but the first, in whole numbers.

    Bucket m + floor((B - m) ln(n / m) / ln(M / m)), m = B // 2, for n >= m: it is b or more as soon
    as (n / m)^(B - m) >= (M / m)^(b - m).
    """
    near = buckets // 2
    first, far = list(range(1, near + 1)), buckets - near
    for step in range(1, far):
        n = int(near * exp(step / far * log(max_distance / near)) * (1 - 1e-12))  # or more
        while n**far * near**step < max_distance**step * near**far:
            n += 1
        first.append(n)
    return first
