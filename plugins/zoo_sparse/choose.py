"""The best few of many, the same ones whatever shape the scores were computed in."""

import torch
from torch import Tensor

NOISE = 10
"""Bits of a float32 that are not trusted: 14 of 24 remain, a step of 1e-4 of the score."""


def best(scores: Tensor, count: int) -> Tensor:
    """Where the ``count`` greatest of ``scores`` (..., n) stand; -1 for those that are -inf.

    A product of matrices comes out different in its last bits when it is cut otherwise, as between
    a forward pass and a step. Scores that differ by so little are equal here, and of equals the
    first is taken. No gradient passes.
    """
    n = scores.shape[-1]
    scores = scores.detach().float()
    bits = scores.contiguous().view(torch.int32)
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # now in the order of the numbers, negative too
    step = (bits >> NOISE) + ((bits >> (NOISE - 1)) & 1)  # rounded: round numbers lie in the middle
    first = torch.arange(n - 1, -1, -1, device=scores.device)
    place = (step.long() * n + first).topk(count, dim=-1).indices
    return place.masked_fill(scores.gather(-1, place) == -torch.inf, -1)
