"""Rotary positions: complex numbers turned, stretched beyond training, and over a grid."""

import math

import pytest
import torch
from torch import Tensor

import zoo
from zoo.options import check, options
from zoo_position.rope import Rope
from zoo_position.rope_2d import Rope2D
from zoo_position.xpos import XPos


def as_complex(x: Tensor) -> Tensor:
    """The two halves of a head as real and imaginary parts."""
    real, imaginary = x.chunk(2, dim=-1)
    return torch.complex(real, imaginary)


def products(q: Tensor, k: Tensor) -> Tensor:
    """Every query times every key."""
    return q @ k.mT


@pytest.mark.parametrize("base", [10000.0, 100.0])
@pytest.mark.parametrize("start", [0, 1000])
def test_rope_multiplies_complex_pairs_by_a_unit_number(start: int, base: float) -> None:
    rope = Rope(16, 2, base=base)
    x = torch.randn(2, 2, 5, 8, dtype=torch.float64)
    angle = torch.tensor(
        [[t / base ** (2 * i / 8) for i in range(4)] for t in range(start, start + 5)],
        dtype=torch.float64,
    )
    exact = as_complex(x) * torch.exp(1j * angle)
    torch.testing.assert_close(as_complex(rope(x, x, start)[0]), exact, atol=1e-9, rtol=0)


@pytest.mark.parametrize("shift", [1, 17, 4000])
def test_rope_makes_products_depend_on_the_distance_only(shift: int) -> None:
    rope = Rope(8, 1)
    q, k = torch.randn(2, 1, 1, 6, 8, dtype=torch.float64).unbind()
    here = products(*rope(q, k))
    torch.testing.assert_close(products(*rope(q, k, shift)), here)
    assert not torch.allclose(products(rope(q, k, shift)[0], rope(q, k)[1]), here)


@pytest.mark.parametrize("position", [Rope(8, 2), Rope2D(8, 2, width=4)])
def test_step_by_step_is_at_once(position: zoo.QueryKeyPosition) -> None:
    q, k = torch.randn(1, 2, 9, 4), torch.randn(1, 1, 9, 4)  # fewer heads of keys
    steps = [position(q[:, :, t : t + 1], k[:, :, t : t + 1], t) for t in range(9)]
    for stepped, whole in zip(zip(*steps, strict=True), position(q, k), strict=True):
        torch.testing.assert_close(torch.cat(stepped, dim=2), whole, atol=0, rtol=0)


@pytest.mark.parametrize("position", [Rope(8, 1), Rope2D(8, 1, width=900)])
def test_bfloat16_still_tells_far_positions_apart(position: zoo.QueryKeyPosition) -> None:
    x = torch.randn(1, 1, 2, 8)
    near, _ = position(x.bfloat16(), x.bfloat16(), 1000)
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), position(x, x, 1000)[0], atol=3e-2, rtol=0)


@pytest.mark.parametrize("position", [Rope(4, 1), Rope2D(4, 1, width=2)])
def test_gradients_are_turned_back(position: zoo.QueryKeyPosition) -> None:
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: position(z, 2 * z, 7), (x,))


@pytest.mark.parametrize(("dim", "heads"), [(6, 2), (7, 2), (10, 4)])
def test_rope_refuses_odd_heads_and_says_which_dim_is_right(dim: int, heads: int) -> None:
    with pytest.raises(zoo.ZooError, match=f"dim={dim}.*multiple of {2 * heads}") as error:
        Rope(dim, heads)
    Rope(int(str(error.value).rsplit("dim=", 1)[1]), heads)


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_a_part_of_a_head_is_turned_as_if_it_were_all(fraction: float) -> None:
    q, k = torch.randn(2, 1, 2, 6, 16, dtype=torch.float64).unbind()
    part = int(16 * fraction)
    turned = Rope(32, 2, fraction=fraction)(q, k, 3)
    alone = Rope(2 * part, 2)(q[..., :part], k[..., :part], 3)
    for x, mine, right in zip((q, k), turned, alone, strict=True):
        torch.testing.assert_close(mine[..., :part], right, atol=0, rtol=0)
        torch.testing.assert_close(mine[..., part:], x[..., part:], atol=0, rtol=0)


@pytest.mark.parametrize("width", [8, 96])
@pytest.mark.parametrize("fraction", [0.3, 0.1, 0.33, 0.99])
def test_half_a_pair_is_refused_with_a_fraction_that_does(fraction: float, width: int) -> None:
    with pytest.raises(zoo.ZooError, match=r"only whole pairs .*fraction=") as error:
        Rope(2 * width, 2, fraction=fraction)
    Rope(2 * width, 2, fraction=float(str(error.value).rsplit("fraction=", 1)[1]))


def test_bases_and_factors_that_no_number_holds_are_refused() -> None:
    for name in ("rope", "rope_2d", "sinusoidal", "sinusoidal_2d", "xpos"):
        annotation, _ = options(zoo.load().positions[name], "position")["base"]
        for base in (1e-300, 1.0):
            with pytest.raises(zoo.ZooError, match="should be greater than 1"):
                check("position.base", annotation, base)
    with pytest.raises(zoo.ZooError, match="should be less than or equal to 1000000"):
        check("position.factor", options(Rope, "position")["factor"][0], 1e200)
    with pytest.raises(zoo.ZooError, match="should be greater than or equal to 1"):
        check("position.scale_base", options(XPos, "position")["scale_base"][0], 1e-300)


def angles(rope: Rope, width: int) -> list[float]:
    """By what each pair is turned at position 1, and by what it grows."""
    x = torch.cat([torch.ones(width // 2), torch.zeros(width // 2)]).double()
    z = as_complex(rope(x.view(1, 1, 1, -1), x.view(1, 1, 1, -1), 1)[0])[0, 0, 0]
    torch.testing.assert_close(z.abs(), torch.full_like(z.abs(), rope.stretch.size))
    return list(z.angle().tolist())


def test_linear_and_ntk_stretch_what_they_say() -> None:
    plain = angles(Rope(16, 1), 16)
    linear = angles(Rope(16, 1, scaling="linear", factor=4.0), 16)
    torch.testing.assert_close(linear, [a / 4 for a in plain])
    ntk = angles(Rope(16, 1, scaling="ntk", factor=4.0), 16)
    assert math.isclose(ntk[0], plain[0])
    assert math.isclose(ntk[-1], plain[-1] / 4)
    assert angles(Rope(2, 1, scaling="ntk", factor=4.0), 2) == angles(Rope(2, 1), 2)


def test_yarn_keeps_what_turns_often_and_stretches_what_hardly_turns() -> None:
    rope = Rope(64, 1, scaling="yarn", factor=8.0, original_length=2048)
    plain, yarn = angles(Rope(64, 1), 64), angles(rope, 64)
    for a, b in zip(plain, yarn, strict=True):
        turns = 2048 * a / (2 * math.pi)
        if turns > 40:  # the ramp begins and ends at whole pairs
            assert math.isclose(a, b)
        elif turns < 0.7:
            assert math.isclose(a / 8, b)
        else:
            assert a / 8 <= b * (1 + 1e-12) <= a * (1 + 2e-12)
    assert math.isclose(rope.stretch.size, 0.1 * math.log(8) + 1)
    cold = Rope(64, 1, scaling="yarn", factor=8.0, original_length=2048, temperature=0.25)
    assert cold.stretch.size == 2.0


def test_original_length_is_the_longest_over_the_factor() -> None:
    told = Rope(32, 1, scaling="yarn", factor=4.0, original_length=64)
    found = Rope(32, 1, scaling="yarn", factor=4.0, max_length=256)
    assert angles(found, 32) == angles(told, 32)
    assert angles(told, 32) != angles(Rope(32, 1, scaling="yarn", factor=4.0, max_length=999), 32)


@pytest.mark.parametrize("scaling", ["linear", "ntk", "yarn"])
def test_a_factor_of_one_changes_nothing(scaling: str) -> None:
    stretched = Rope(16, 1, scaling=scaling, max_length=64)  # type: ignore[arg-type]
    torch.testing.assert_close(angles(stretched, 16), angles(Rope(16, 1), 16))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"factor=4 does nothing .* position\.scaling="):
        Rope(8, 1, factor=4.0)
    with pytest.raises(zoo.ZooError, match=r"position\.original_length="):
        Rope(8, 1, scaling="yarn", factor=4.0)
    with pytest.raises(zoo.ZooError, match="beta_fast=1 must be more than"):
        Rope(8, 1, scaling="yarn", factor=4.0, max_length=64, beta_fast=1.0, beta_slow=1.0)


@pytest.mark.parametrize("start", [0, 77])
def test_on_a_grid_rows_turn_one_half_and_columns_the_other(start: int) -> None:
    q, k = torch.randn(2, 1, 2, 13, 8, dtype=torch.float64).unbind()
    turned = Rope2D(16, 2, width=5)(q, k, start)
    at = range(start, start + 13)
    for x, mine in zip((q, k), turned, strict=True):
        for half, axis in enumerate(([t // 5 for t in at], [t % 5 for t in at])):
            angle = torch.tensor([[t * 100.0 ** (-i / 2) for i in range(2)] for t in axis])
            right = as_complex(x.chunk(2, -1)[half]) * torch.exp(1j * angle.double())
            torch.testing.assert_close(
                as_complex(mine.chunk(2, -1)[half]), right, rtol=1e-5, atol=1e-5
            )


def test_on_a_grid_products_depend_on_both_distances_only() -> None:
    q, k = torch.randn(2, 8, dtype=torch.float64).unbind()
    whole = (x.expand(1, 1, 100, 8) for x in (q, k))
    scores = products(*Rope2D(8, 1, width=10)(*whole))[0, 0]  # a query and a key, everywhere
    grid = scores.view(10, 10, 10, 10)
    torch.testing.assert_close(grid[2, 3, 5, 1], grid[4, 6, 7, 4])
    torch.testing.assert_close(grid[0, 9, 8, 0], grid[1, 9, 9, 0])
    assert abs(grid[2, 3, 5, 1] - grid[2, 3, 5, 2]) > 1e-3
    assert abs(grid[2, 3, 5, 1] - grid[2, 3, 6, 1]) > 1e-3


def test_a_grid_refuses_what_it_cannot_halve_twice() -> None:
    with pytest.raises(zoo.ZooError, match=r"rope_2d .*multiple of 8: try dim=16") as error:
        Rope2D(12, 2, width=3)
    Rope2D(int(str(error.value).rsplit("dim=", 1)[1]), 2, width=3)
    with pytest.raises(zoo.ZooError, match=r"50 is no square; add position\.width="):
        Rope2D(16, 2, max_length=50)
