"""Two causal mixers, one each way."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo import registry
from zoo.bidirectional import Bidirectional, turn
from zoo.mixer import Direction
from zoo.testing import conformance

CAUSAL = {n: m for n, m in registry.load().mixers.items() if "bidirectional" not in m.directions}


class RunningSum(zoo.Mixer):
    """y_t = x_1 + ... + x_t."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return x.cumsum(dim=1)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(2, batch * length)

    def state_size(self, length: int) -> int:
        return 1


def test_a_row_is_turned_within_its_length() -> None:
    x = torch.arange(10.0).view(2, 5, 1)
    turned = turn(x, torch.tensor([5, 2]))
    assert turned[..., 0].tolist() == [[4, 3, 2, 1, 0], [6, 5, 7, 8, 9]]
    assert turn(x, None)[..., 0].tolist() == [[4, 3, 2, 1, 0], [9, 8, 7, 6, 5]]


def test_it_is_the_sum_of_both_ways() -> None:
    x = torch.tensor([[1.0, 2, 4], [8, 16, torch.nan]])[..., None]
    both = Bidirectional(RunningSum(), RunningSum())
    y = both(x, torch.tensor([3, 2]))[..., 0]
    assert y[0].tolist() == [1 + 7, 3 + 6, 7 + 4]
    assert y[1, :2].tolist() == [8 + 24, 24 + 16]
    assert both.flops(2, 3) == zoo.Flops(4, 12)


def wrapper(name: str) -> type[zoo.Mixer]:
    """A class that builds the wrapped mixer, as the checks want one."""

    class Wrapped(Bidirectional):
        directions: frozenset[Direction] = frozenset({"bidirectional"})  # type: ignore[misc]

        def __init__(self, dim: int) -> None:
            cls: Any = CAUSAL[name]
            super().__init__(cls(dim), cls(dim))

    Wrapped.__name__ = f"Wrapped_{name}"
    return Wrapped


@conformance(*map(wrapper, CAUSAL))
def test_every_causal_mixer_keeps_its_promises_when_wrapped(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("name", list(CAUSAL))
def test_the_first_position_hears_of_the_last(name: str) -> None:
    torch.manual_seed(0)
    both = wrapper(name)(16).double().eval()
    x = torch.randn(1, 9, 16, dtype=torch.float64, requires_grad=True)
    both(x)[0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(dim=-1) > 0).all()
