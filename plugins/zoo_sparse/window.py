"""Attention to a band of keys, for mixers that need one among other things."""

from torch import Tensor

import zoo
from zoo_sparse.gathered import gathered
from zoo_sparse.near import Near
from zoo_sparse.pattern import Sparsity


def blocked(q: Tensor, k: Tensor, v: Tensor, bias: zoo.ops.AttentionBias) -> Tensor:
    """Each block of c queries meets the c + left + right keys of ``bias.band`` it can see together.

    ``q`` (b, h, q, e), ``k`` and ``v`` (b, g, k, e); the last q of the keys are the queries' own.
    """
    assert bias.band is not None
    pattern, past = Near(bias.band), k.shape[2] - q.shape[2]
    start = max(bias.start, past)
    old = past - pattern.remembers(start)  # too old for anyone
    sparse = Sparsity(
        bias.causal, bias.band, bias.lengths, bias.position, start=start, pattern=pattern
    )
    return gathered(q, k[:, :, old:], v[:, :, old:], sparse)
