"""Differential attention against its equations, query by query in float64."""

from math import exp, sqrt

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.testing import Check, conformance
from zoo_attention.differential import DiffAttention
from zoo_position.rope import Rope

DIM, HEADS, WIDTH = 24, 3, 4


@conformance(DiffAttention, heads=4, kv_heads=2, layer=3)
def test_promises_with_keys_shared(check: Check) -> None:
    check()  # type: ignore[call-arg]


class Slopes(zoo.RelativePosition):
    """-distance / 2^head."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def bias(self, distance: Tensor) -> Tensor:
        return torch.stack([-distance.abs().double() / 2**h for h in range(self.heads)])


def build(causal: bool, kv_heads: int, position: object, kernel: str) -> DiffAttention:
    torch.manual_seed(0)
    mixer = DiffAttention(
        DIM,
        causal=causal,
        position=position,  # type: ignore[arg-type]
        layer=2,
        heads=HEADS,
        kv_heads=kv_heads,
        kernel=kernel,  # type: ignore[arg-type]
    ).double()
    nn.init.normal_(mixer.norm.weight, 1, 0.3)
    return mixer


def turned(x: Tensor) -> Tensor:
    """(l, e) by complex numbers."""
    half = x.shape[-1] // 2
    angle = torch.arange(len(x))[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], dim=-1)


def by_hand(mixer: DiffAttention, x: Tensor, kv_heads: int, position: object) -> Tensor:
    """Map by map; head i has rows (2i, 2i + 1) of the queries' map, and of its keys' likewise."""
    batch, length, _ = x.shape
    ends = [DIM, DIM + 2 * kv_heads * WIDTH]
    maps_of = mixer.qkv.weight.tensor_split(ends)
    q, k, v = ((x @ w.mT).view(batch, length, -1, 2, WIDTH) for w in maps_of)
    start = 0.8 - 0.6 * exp(-0.3 * 2)
    strength = (
        (mixer.lambda_q1 @ mixer.lambda_k1).exp()
        - (mixer.lambda_q2 @ mixer.lambda_k2).exp()
        + start
    )
    at = torch.arange(length)
    distance = at - at[:, None]
    outputs = []
    for b in range(batch):
        heads = []
        for h in range(HEADS):
            g = h * kv_heads // HEADS
            maps = []
            for two in range(2):
                mine, its = q[b, :, h, two], k[b, :, g, two]
                if position is Rope:
                    mine, its = turned(mine), turned(its)
                score = mine @ its.mT / sqrt(WIDTH)
                if position is Slopes:
                    score = score - distance.abs() / 2**h
                if mixer.causal:
                    score = score.masked_fill(distance > 0, -torch.inf)
                maps.append(score.softmax(-1))
            y = (maps[0] - strength * maps[1]) @ v[b, :, g].flatten(1)
            y = y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt() * mixer.norm.weight
            heads.append(y * (1 - start))
        outputs.append(torch.cat(heads, dim=-1) @ mixer.out.weight.mT)
    return torch.stack(outputs)


@pytest.mark.parametrize("position", [None, Rope, Slopes], ids=["bare", "rope", "slopes"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kv_heads", [3, 1])
@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
def test_outputs_and_gradients_are_those_of_the_equations(
    kernel: str, kv_heads: int, causal: bool, position: object
) -> None:
    mixer = build(causal, kv_heads, position, kernel)
    x = torch.randn(2, 9, DIM, dtype=torch.float64, requires_grad=True)
    ours, truth = mixer(x), by_hand(mixer, x, kv_heads, position)
    torch.testing.assert_close(ours, truth)
    leaves = [x, *mixer.parameters()]
    mine, right = (torch.autograd.grad(y.square().sum(), leaves) for y in (ours, truth))
    torch.testing.assert_close(mine, right)
    assert mixer.kernel_ran == kernel


def test_the_first_layer_starts_at_a_fifth() -> None:
    assert DiffAttention(DIM).lambda_init == pytest.approx(0.2)


def test_heads_are_refused_in_the_words_of_the_user() -> None:
    with pytest.raises(zoo.ZooError, match=r"heads=5: .*multiple of 10, not 24; try mixer.heads=4"):
        DiffAttention(24, heads=5)
    with pytest.raises(zoo.ZooError, match="try an even dim"):
        DiffAttention(7, heads=1)
    with pytest.raises(zoo.ZooError, match=r"kv_heads=2 .*heads=3; try one of 1, 3"):
        DiffAttention(24, heads=3, kv_heads=2)
