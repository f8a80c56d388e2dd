"""Channel mixers against their formulas."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_channel.mlp import Mlp
from zoo_channel.none import Nothing
from zoo_channel.swiglu import SwiGlu


def test_mlp_is_two_affine_maps_around_a_gelu() -> None:
    channel = Mlp(5).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    wide = x @ channel.wide.weight.mT + channel.wide.bias
    exact = wide * (1 + torch.erf(wide / math.sqrt(2))) / 2
    exact = exact @ channel.narrow.weight.mT + channel.narrow.bias
    torch.testing.assert_close(channel(x), exact)


def test_swiglu_gates_one_map_by_another() -> None:
    channel = SwiGlu(6).double()
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    gate, value = (x @ weight.mT for weight in channel.wide.weight.chunk(2))
    exact = (gate / (1 + (-gate).exp()) * value) @ channel.narrow.weight.mT
    torch.testing.assert_close(channel(x), exact)


@pytest.mark.parametrize("cls", [Mlp, SwiGlu])
@pytest.mark.parametrize(
    ("dim", "expand", "hidden"), [(10, 2.0, 20), (10, 1.26, 13), (7, 8 / 3, 19), (4, 0.01, 1)]
)
def test_the_hidden_width_follows_expand(
    cls: type[Mlp] | type[SwiGlu], dim: int, expand: float, hidden: int
) -> None:
    assert cls(dim, expand=expand).narrow.weight.shape == (dim, hidden)


def test_a_swiglu_is_as_large_as_an_mlp() -> None:
    mlp, swiglu = (sum(p.numel() for p in cls(96).parameters()) for cls in (Mlp, SwiGlu))
    assert swiglu == pytest.approx(mlp, rel=0.01)


@pytest.mark.parametrize("cls", [Mlp, SwiGlu, Nothing])
def test_flops_are_those_counted(cls: type[zoo.Channel]) -> None:
    with torch.device("meta"):
        channel, x = cls(12), torch.empty(2, 9, 12)
    with FlopCounterMode(display=False) as counter:
        channel(x)
    assert channel.flops(2, 9).matmul == counter.get_total_flops()


@pytest.mark.parametrize("cls", [Mlp, SwiGlu, Nothing])
def test_any_leading_axes_and_bfloat16_will_do(cls: type[zoo.Channel]) -> None:
    channel = cls(4).bfloat16()
    for shape in [(4,), (3, 4), (2, 3, 4)]:
        y = channel(torch.randn(shape).bfloat16())
        assert (y.shape, y.dtype) == (shape, torch.bfloat16)


def test_none_is_empty_and_adds_nothing() -> None:
    assert Nothing(4).empty
    assert (Nothing(4)(torch.randn(2, 4)) == 0).all()
    assert not list(Nothing(4).parameters())
