"""Positions against their papers' formulas."""

import math

import pytest
import torch
from torch import Tensor

import zoo
from zoo_position.learned import Learned
from zoo_position.none import Nowhere
from zoo_position.rope import Rope
from zoo_position.sinusoidal import Sinusoidal


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


def test_rope_step_by_step_is_rope_at_once() -> None:
    rope = Rope(8, 2)
    x = torch.randn(1, 2, 9, 4)
    steps = [rope(x[:, :, t : t + 1], x[:, :, t : t + 1], t)[1] for t in range(9)]
    torch.testing.assert_close(torch.cat(steps, dim=2), rope(x, x)[1], atol=0, rtol=0)


def test_rope_in_bfloat16_still_tells_far_positions_apart() -> None:
    rope = Rope(8, 1)
    x = torch.randn(1, 1, 2, 8)
    near, _ = rope(x.bfloat16(), x.bfloat16(), 1000)
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), rope(x, x, 1000)[0], atol=3e-2, rtol=0)


def test_rope_turns_gradients_back() -> None:
    rope, x = Rope(4, 1).double(), torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: rope(z, 2 * z, 7), (x,))


@pytest.mark.parametrize(("dim", "heads"), [(6, 2), (7, 2), (10, 4)])
def test_rope_refuses_odd_heads_and_says_which_dim_is_right(dim: int, heads: int) -> None:
    with pytest.raises(zoo.ZooError, match=f"dim={dim}.*multiple of {2 * heads}") as error:
        Rope(dim, heads)
    Rope(int(str(error.value).rsplit("dim=", 1)[1]), heads)


@pytest.mark.parametrize("dim", [1, 5, 8])
@pytest.mark.parametrize("start", [0, 300])
def test_sinusoids_are_those_of_the_paper(dim: int, start: int) -> None:
    x = torch.randn(2, 4, dim, dtype=torch.float64)
    table = [
        [(math.cos if i % 2 else math.sin)(t / 10000 ** ((i - i % 2) / dim)) for i in range(dim)]
        for t in range(start, start + 4)
    ]
    exact = x + torch.tensor(table, dtype=torch.float64)
    torch.testing.assert_close(Sinusoidal(dim, 1)(x, start), exact)
    narrow = Sinusoidal(dim, 1)(x.bfloat16(), start)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.double(), exact, atol=3e-2, rtol=0)


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


def test_each_acts_in_its_place() -> None:
    places = {cls.__name__: cls.place for cls in (Learned, Nowhere, Rope, Sinusoidal)}
    assert places == {
        "Learned": "embedding",
        "Nowhere": "none",
        "Rope": "query_key",
        "Sinusoidal": "embedding",
    }
    assert list(Nowhere(4, 1).parameters()) == []
