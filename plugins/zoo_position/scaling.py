"""Ways to stretch the turning of rope beyond the length of training."""

from dataclasses import dataclass
from math import ceil, floor, log, pi
from typing import Literal

import torch
from torch import Tensor

Scaling = Literal["none", "linear", "ntk", "yarn"]


@dataclass(frozen=True)
class Stretch:
    """How the frequencies change so that ``factor`` times ``original_length`` fits.

    ``linear``: all are divided by ``factor`` (Chen et al. 2023, arXiv:2306.15595). ``ntk``: the
    base is multiplied by factor^(r/(r-2)), so that the slowest of r/2 pairs is divided by
    ``factor`` and the fastest not at all (NTK-aware; bloc97 2023, told in arXiv:2309.00071).
    ``yarn`` (Peng et al. 2023, arXiv:2309.00071): pairs that turn more than ``beta_fast`` times in
    the original length stay, those that turn less than ``beta_slow`` times are divided, between
    them a ramp; and the scores are divided by ``temperature``, by which queries and keys shrink
    alike; None is the paper's, 1 / sqrt(temperature) = 0.1 ln factor + 1. The ramp is linear in the
    pair's index, between whole indices, as in the authors' code; the paper's is linear in the
    number of turns. Only what is turned is tempered, as everywhere else.
    """

    scaling: Scaling
    factor: float
    original_length: int
    beta_fast: float
    beta_slow: float
    temperature: float | None

    @property
    def size(self) -> float:
        """By what queries and keys are multiplied."""
        if self.scaling != "yarn":
            return 1.0
        return (0.1 * log(self.factor) + 1) if self.temperature is None else self.temperature**-0.5

    def base(self, base: float, width: int) -> float:
        """The base that the frequencies of ``width`` features are powers of."""
        if self.scaling != "ntk" or width == 2:  # a single pair turns by one radian at any base
            return base
        return float(base * self.factor ** (width / (width - 2)))

    def __call__(self, frequency: Tensor, base: float) -> Tensor:
        """(r / 2,) to the same: the frequencies as they are used."""
        if self.scaling in ("none", "ntk"):
            return frequency
        if self.scaling == "linear":
            return frequency / self.factor
        width = 2 * len(frequency)
        low = max(floor(self.pair(self.beta_fast, width, base)), 0)
        high = min(ceil(self.pair(self.beta_slow, width, base)), width - 1)
        index = torch.arange(len(frequency), device=frequency.device, dtype=frequency.dtype)
        slow = ((index - low) / max(high - low, 1e-3)).clamp(0, 1)
        return frequency * (1 - slow + slow / self.factor)

    def pair(self, turns: float, width: int, base: float) -> float:
        """The index of the pair that turns so often in the original length."""
        return width * log(self.original_length / (2 * pi * turns)) / (2 * log(base))
