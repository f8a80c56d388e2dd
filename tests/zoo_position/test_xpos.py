"""xPos against the authors' formula, and far out, where it would overflow."""

import math
from itertools import pairwise

import pytest
import torch

import zoo
from zoo_position.rope import Rope
from zoo_position.xpos import XPos


def zeta(width: int, gamma: float = 0.4) -> torch.Tensor:
    """(width / 2,): by what a pair fades in scale_base tokens."""
    fades = [(2 * i / width + gamma) / (1 + gamma) for i in range(width // 2)]
    return torch.tensor(fades, dtype=torch.float64)


@pytest.mark.parametrize(("scale_base", "gamma", "start"), [(512.0, 0.4, 0), (16.0, 0.2, 200)])
def test_products_are_ropes_faded_with_the_distance(
    scale_base: float, gamma: float, start: int
) -> None:
    q, k = torch.randn(2, 2, 1, 30, 8, dtype=torch.float64).unbind()
    mine = XPos(8, 1, max_length=64, scale_base=scale_base, gamma=gamma)(q, k, start)
    plain = [torch.complex(*x.chunk(2, -1)) for x in Rope(8, 1)(q, k)]
    at = torch.arange(30)
    fade = zeta(8, gamma) ** ((at[:, None] - at)[..., None] / scale_base)  # (n, m, pair)
    right = torch.einsum("bhnp,bhmp,nmp->bhnm", plain[0], plain[1].conj(), fade.to(plain[0].dtype))
    torch.testing.assert_close(mine[0] @ mine[1].mT, right.real)


def test_step_by_step_is_at_once() -> None:
    xpos, x = XPos(8, 2, max_length=4), torch.randn(1, 2, 9, 4)
    steps = [xpos(x[:, :, t : t + 1], x[:, :, t : t + 1], t) for t in range(9)]
    for stepped, whole in zip(zip(*steps, strict=True), xpos(x, x), strict=True):
        torch.testing.assert_close(torch.cat(stepped, dim=2), whole, atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_overflows_at_65536_tokens(dtype: torch.dtype) -> None:
    length, xpos = 65536, XPos(16, 1, max_length=65536)
    x = torch.randn(1, 1, length, 16).to(dtype).requires_grad_()
    q, k = xpos(x, x)
    assert q.dtype == dtype
    for row in (0, length // 2, length - 1):
        scores = q[:, :, row : row + 1] @ k.mT
        assert scores.isfinite().all()  # those of the future too, which a mask is added to
    scores.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_fade_is_exact_as_far_as_the_docstring_says() -> None:
    """At the ends of what float32 holds: pairs of positions across 32,000 tokens."""
    one = torch.ones(1, 1, 1, 2)  # of width 2, so the fastest pair alone
    xpos, first = XPos(2, 1, max_length=32000), 0.4 / 1.4
    for n, m in [(31999, 31998), (31999, 31000), (500, 0), (17000, 15000)]:
        q, k = xpos(one, one, n)[0], xpos(one, one, m)[1]
        right = 2 * math.cos(n - m) * first ** ((n - m) / 512)
        torch.testing.assert_close((q @ k.mT).item(), right, rtol=2e-2, atol=1e-4)


def test_beyond_the_limit_the_fade_stops_growing_and_never_turns_into_growth() -> None:
    one = torch.ones(1, 1, 1, 2)
    xpos = XPos(2, 1, max_length=1024)
    sizes = [xpos(one, one, n)[0].norm().item() for n in (0, 10000, 16000, 60000, 90000)]
    assert all(b <= a * (1 + 1e-6) for a, b in pairwise(sizes))
    assert sizes[-1] == pytest.approx(sizes[-2]) == pytest.approx(math.sqrt(2) * math.exp(-40))


def test_it_is_causal_only_and_turns_pairs() -> None:
    assert XPos.directions == {"causal"}
    with pytest.raises(zoo.ZooError, match=r"position=xpos .* try dim=8"):
        XPos(6, 2)
