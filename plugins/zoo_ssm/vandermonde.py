"""Sums of exponentials, sum_n v_n a_n^i for i = 0 .. l - 1, without ever holding a_n^i for all i.

With i = T j + k the sum is sum_n (v_n a_n^{T j}) a_n^k: two tables of about sqrt(l) powers, and
their product by one matrix multiplication a channel.
"""

import torch
from einops import rearrange
from jaxtyping import Inexact
from torch import Tensor


def powers(a: Inexact[Tensor, "*lead"], count: int) -> Inexact[Tensor, "*lead count"]:
    """1, a, .. a^(count - 1), by doubling: cheaper than exponentials, and takes a = 0."""
    table, square = torch.ones_like(a)[..., None], a
    while (have := table.shape[-1]) < count:
        more = table[..., : count - have] * square[..., None]
        table, square = torch.cat([table, more], -1), square * square
    return table


def vandermonde(
    v: Inexact[Tensor, "way d n"], a: Inexact[Tensor, "d n"], length: int, dtype: torch.dtype
) -> Inexact[Tensor, "way d l"]:
    """Re sum_n v_n a_n^i, of ``dtype``; v and a of float64 or complex128.

    The powers are taken in float64, where a phase is exact after any number of turns that matter.
    """
    inner, outer = split(length)
    fine = powers(a, inner)  # (d, n, k)
    coarse = powers(fine[..., -1] * a, outer)  # (d, n, j)
    left = rearrange(v[..., None] * coarse, "way d n j -> d (way j) n")
    if a.is_complex():
        left, fine = torch.cat([left.real, -left.imag], -1), torch.cat([fine.real, fine.imag], -2)
    taps = torch.bmm(left.to(dtype), fine.to(dtype))
    return rearrange(taps, "d (way j) k -> way d (j k)", way=len(v))[..., :length]


def split(length: int) -> tuple[int, int]:
    """How many powers of either kind: a power of two near the root, and enough of the rest."""
    inner = 1 << (length.bit_length() // 2)
    return inner, -(-length // inner)
