"""Positions added to the embeddings, against their papers' formulas."""

import math

import pytest
import torch

import zoo
from zoo_position.learned import Learned
from zoo_position.none import Nowhere
from zoo_position.sinusoidal import Sinusoidal
from zoo_position.sinusoidal_2d import Sinusoidal2D


def wave(t: int, i: int, width: int, base: float = 10000.0) -> float:
    return (math.cos if i % 2 else math.sin)(t / base ** ((i - i % 2) / width))


@pytest.mark.parametrize("dim", [1, 5, 8])
@pytest.mark.parametrize("start", [0, 300])
def test_sinusoids_are_those_of_the_paper(dim: int, start: int) -> None:
    x = torch.randn(2, 4, dim, dtype=torch.float64)
    table = [[wave(t, i, dim) for i in range(dim)] for t in range(start, start + 4)]
    exact = x + torch.tensor(table, dtype=torch.float64)
    torch.testing.assert_close(Sinusoidal(dim, 1)(x, start), exact)
    narrow = Sinusoidal(dim, 1)(x.bfloat16(), start)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.double(), exact, atol=3e-2, rtol=0)


@pytest.mark.parametrize("dim", [1, 2, 7, 12])
@pytest.mark.parametrize(("width", "start"), [(3, 0), (1, 0), (5, 9), (4, 1000)])
def test_a_grid_has_the_row_first_and_the_column_second(dim: int, width: int, start: int) -> None:
    x = torch.randn(2, 11, dim, dtype=torch.float64)
    rows = dim - dim // 2
    table = [
        [wave(t // width, i, rows) for i in range(rows)]
        + [wave(t % width, i, dim // 2) for i in range(dim // 2)]
        for t in range(start, start + 11)
    ]
    exact = x + torch.tensor(table, dtype=torch.float64)
    position = Sinusoidal2D(dim, 1, width=width)
    torch.testing.assert_close(position(x, start), exact)
    narrow = position(x.bfloat16(), start)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.double(), exact, atol=3e-2, rtol=0)


def test_a_grid_of_unknown_width_is_the_square_of_the_longest_sequence() -> None:
    x = torch.zeros(1, 40, 8)
    square = Sinusoidal2D(8, 1, max_length=49)(x)
    torch.testing.assert_close(square, Sinusoidal2D(8, 1, width=7)(x), atol=0, rtol=0)
    assert not torch.equal(square, Sinusoidal2D(8, 1, width=6)(x))
    assert not torch.equal(Sinusoidal2D(8, 1, max_length=49, width=6)(x), square)


@pytest.mark.parametrize("max_length", [None, 50, 2])
def test_what_is_no_square_needs_a_width(max_length: int | None) -> None:
    with pytest.raises(zoo.ZooError, match=r"sinusoidal_2d .* position\.width="):
        Sinusoidal2D(8, 1, max_length=max_length)


def test_learned_adds_its_rows_and_learns_them() -> None:
    position = Learned(3, 1, max_length=6)
    x = torch.randn(2, 2, 3)
    y = position(x, 3)
    torch.testing.assert_close(y - x, position.table[3:5].expand(2, 2, 3))
    (grad,) = torch.autograd.grad(y.sum(), position.table)
    assert grad.sum(dim=1).tolist() == [0, 0, 0, 6, 6, 0]


@pytest.mark.parametrize(("start", "length"), [(0, 7), (6, 1)])
def test_learned_refuses_a_position_beyond_its_table(start: int, length: int) -> None:
    with pytest.raises(zoo.ZooError, match=r"6 positions .* shown 7"):
        Learned(3, 1, max_length=6)(torch.zeros(1, length, 3), start)


def test_no_position_has_nothing_to_learn() -> None:
    assert list(Nowhere(4, 1).parameters()) == []
