"""Counted floating point operations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flops:
    """Floating point operations, a multiply-add being two.

    ``matmul`` are those of matrix products and convolutions (what torch's counter sees), ``other``
    those of scans, softmax and gates. A causal mask is not discounted: products are counted as the
    portable kernel executes them.
    """

    matmul: int
    other: int = 0

    @property
    def total(self) -> int:
        """Both kinds together."""
        return self.matmul + self.other

    def __add__(self, more: "Flops") -> "Flops":
        return Flops(self.matmul + more.matmul, self.other + more.other)
