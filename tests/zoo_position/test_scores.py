"""Positions on scores against their papers' formulas, one pair at a time."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_position.alibi import ALiBi
from zoo_position.fire import Fire
from zoo_position.shaw import Shaw
from zoo_position.t5 import T5, boundaries

HEADS, WIDTH = 3, 4
DIRECTIONS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
QUERY_AT, KEY_AT = torch.arange(20, 26), torch.arange(0, 40, 3)
One = Callable[[Tensor, int, int], Tensor]
"""(a query (e,), its position, the key's) -> (h,): what is to be added, were it of any head."""


def queries() -> Tensor:
    torch.manual_seed(1)
    shape = 2, HEADS, len(QUERY_AT), WIDTH
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def by_hand(q: Tensor, one: One) -> Tensor:
    """(b, h, q, k), pair by pair."""
    found = [
        one(q[b, h, i], at, to)[h]
        for b in range(len(q))
        for h in range(HEADS)
        for i, at in enumerate(QUERY_AT.tolist())
        for to in KEY_AT.tolist()
    ]
    return torch.stack(found).view(len(q), HEADS, len(QUERY_AT), len(KEY_AT))


def compare(position: zoo.ScorePosition, one: One) -> None:
    """Outputs and gradients."""
    q = queries()
    mine = position(q, QUERY_AT, KEY_AT).expand(2, HEADS, -1, -1)
    right = by_hand(q, one)
    assert mine.dtype == torch.float64
    torch.testing.assert_close(mine, right, atol=1e-9, rtol=1e-9)
    inputs = [x for x in (q, *position.parameters()) if x.requires_grad]
    cotangent = torch.linspace(-1, 1, right.numel(), dtype=torch.float64).view_as(right)
    found = [
        torch.autograd.grad((y * cotangent).sum(), inputs, allow_unused=True)
        for y in (mine + 0 * q.sum(), right + 0 * q.sum())
    ]
    torch.testing.assert_close(*found, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("heads", [1, 2, 8, 16])
def test_alibis_slopes_are_a_geometric_sequence(heads: int) -> None:
    slopes = ALiBi(32, heads).slopes
    right = [2 ** (-8 / heads * (h + 1)) for h in range(heads)]
    torch.testing.assert_close(slopes, torch.tensor(right))


def test_alibi_fills_other_numbers_of_heads_from_twice_as_many() -> None:
    right = [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3]
    torch.testing.assert_close(ALiBi(24, 6).slopes, torch.tensor(right))


def test_alibi_is_minus_slope_times_distance_in_both_directions() -> None:
    slopes = torch.tensor([2.0**-4, 2.0**-8, 2.0**-2]).double()
    compare(ALiBi(12, HEADS).double(), lambda q, at, to: -slopes * abs(at - to))


def test_alibis_slopes_survive_bfloat16() -> None:
    narrow, wide = ALiBi(48, 12).bfloat16(), ALiBi(48, 12)
    assert narrow.slopes.dtype == torch.float32
    torch.testing.assert_close(narrow.slopes, wide.slopes, atol=0, rtol=0)
    assert not torch.equal(wide.slopes, wide.slopes.bfloat16().float())
    assert list(wide.state_dict()) == []


def bucket(distance: int, causal: bool, buckets: int, longest: int) -> int:
    """As the paper's section 2.1 says it and the released code does it."""
    if not causal:
        behind = distance > 0
        return behind * (buckets // 2) + bucket(-abs(distance), True, buckets // 2, longest)
    past, near = max(-distance, 0), buckets // 2
    if past < near:
        return past
    far = math.log(past / near) / math.log(longest / near) * (buckets - near)
    return min(near + int(far + 1e-9), buckets - 1)


@DIRECTIONS
@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (6, 20), (8, 1000)])
def test_t5_looks_up_the_bucket(causal: bool, buckets: int, longest: int) -> None:
    t5 = T5(12, HEADS, causal=causal, buckets=buckets, max_distance=longest).double()
    compare(t5, lambda q, at, to: t5.table[:, bucket(to - at, causal, buckets, longest)])


@DIRECTIONS
def test_t5s_buckets_far_out(causal: bool) -> None:
    t5 = T5(12, 1, causal=causal, buckets=32, max_distance=128)
    with torch.no_grad():
        t5.table.copy_(torch.arange(32.0)[None])
    distance = torch.arange(-600, 1 if causal else 600)
    right = [bucket(d, causal, 32, 128) for d in distance.tolist()]
    assert t5.bias(distance)[0].int().tolist() == right


def test_t5s_boundaries_rise_to_the_last_within_max_distance() -> None:
    edges = boundaries(32, 128)
    assert edges[:16] == list(range(1, 17))
    assert edges == sorted(set(edges))
    assert len(edges) == 31
    assert edges[-1] == 113  # 16 * 8^(15/16), rounded up


@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (8, 5), (32, 10**9), (600, 700)])
def test_t5s_boundaries_are_the_first_distances_of_their_buckets(
    buckets: int, longest: int
) -> None:
    near, edges = buckets // 2, boundaries(buckets, longest)
    far = buckets - near
    assert edges[:near] == list(range(1, near + 1))
    for step, edge in enumerate(edges[near:], 1):
        wanted = longest**step * near**far
        assert (edge - 1) ** far * near**step < wanted <= edge**far * near**step


@pytest.mark.parametrize(
    ("causal", "buckets", "longest"), [(True, 1, 9), (False, 2, 9), (False, 7, 9), (True, 32, 16)]
)
def test_t5_refuses_what_makes_no_buckets(causal: bool, buckets: int, longest: int) -> None:
    with pytest.raises(zoo.ZooError, match=r"try position\.") as error:
        T5(12, 3, causal=causal, buckets=buckets, max_distance=longest)
    name, value = str(error.value).rsplit("position.", 1)[1].split("=")
    T5(12, 3, causal=causal, **{"buckets": 32, "max_distance": 128} | {name: int(value)})


@DIRECTIONS
@pytest.mark.parametrize("longest", [1, 5, 100])
def test_shaw_is_a_product_with_the_distances_own_key(causal: bool, longest: int) -> None:
    shaw = Shaw(12, HEADS, causal=causal, max_distance=longest).double()
    last = 0 if causal else longest  # a causal query never sees what is behind it

    def one(q: Tensor, at: int, to: int) -> Tensor:
        row = shaw.table[max(-longest, min(last, to - at)) + longest]
        return (q @ row / math.sqrt(WIDTH)).expand(HEADS)

    compare(shaw, one)
    assert len(shaw.table) == longest + 1 + last


@pytest.mark.parametrize("threshold", [512.0, 22.0, 1.0])
def test_fire_is_the_network_of_the_interpolated_distance(threshold: float) -> None:
    torch.manual_seed(0)
    fire = Fire(12, HEADS, threshold=threshold, hidden=7).double()
    with torch.no_grad():  # a ReLU that never bends, and one that is always off
        fire.first.weight[2], fire.first.weight[3], fire.first.bias[3] = 0, 0, -1

    def psi(x: Tensor) -> Tensor:
        return torch.log(fire.c * x + 1)

    def one(q: Tensor, at: int, to: int) -> Tensor:
        below = torch.maximum(fire.scale * threshold, torch.tensor(float(max(at, to))))
        x = psi(torch.tensor(float(abs(at - to)))) / (psi(below) + 1e-6)
        y: Tensor = fire.last(torch.relu(fire.first(x.view(1).double())))
        return y

    compare(fire, one)


def test_fire_at_any_length_stays_between_what_it_learned() -> None:
    fire = Fire(12, HEADS)
    at = torch.arange(4000, 4003)
    far = fire(torch.zeros(1, HEADS, 3, 4), at, torch.arange(4003))
    grid = torch.linspace(0, 1, 5000)[:, None]
    learned = fire.last(torch.relu(fire.first(grid)))
    for h in range(HEADS):
        assert far[0, h, 0, :4001].max() <= learned[:, h].max() + 1e-4
        assert far[0, h, 0, :4001].min() >= learned[:, h].min() - 1e-4


POSITIONS: dict[str, Callable[[int, int], zoo.ScorePosition]] = {
    "alibi": ALiBi,
    "fire": partial(Fire, threshold=10.0),
    "shaw": Shaw,
    "t5": T5,
    "t5-bidirectional": partial(T5, causal=False),
}
EACH = pytest.mark.parametrize("name", list(POSITIONS))


@EACH
def test_axes_of_blocks_are_as_many_single_blocks(name: str) -> None:
    position = POSITIONS[name](12, HEADS)
    q = torch.randn(2, HEADS, 3, 2, WIDTH)  # three blocks of two queries
    starts = torch.arange(0, 6, 2)[:, None]
    query_at, key_at = starts + torch.arange(2), starts + torch.arange(-3, 4)
    whole = position(q, query_at, key_at).expand(2, -1, 3, -1, -1)
    for n in range(3):
        alone = position(q[:, :, n], query_at[n], key_at[n])
        torch.testing.assert_close(whole[:, :, n], alone.expand(2, -1, -1, -1))
    if name != "fire":  # for all others the distance decides, and blocks are alike
        alike = position(q, query_at[:1], key_at[:1])
        torch.testing.assert_close(alike.expand_as(whole), whole)
        assert name == "shaw" or alike.numel() == HEADS * 2 * 7  # counted once for all blocks


@EACH
def test_biases_are_exact_in_at_least_float32(name: str) -> None:
    position = POSITIONS[name](12, HEADS)
    q, at = torch.randn(1, HEADS, 3, WIDTH), torch.arange(300)
    narrow = position.bfloat16()(q.bfloat16(), at[-3:], at)
    assert narrow.dtype == torch.float32
    wide = position.float()(q.bfloat16().float(), at[-3:], at)
    torch.testing.assert_close(narrow, wide, atol=2e-6, rtol=2e-6)


@EACH
def test_products_are_those_counted(name: str) -> None:
    with torch.device("meta"):
        position, q = POSITIONS[name](12, HEADS), torch.empty(2, HEADS, 9, WIDTH)
        at = torch.arange(30)
    with FlopCounterMode(display=False) as counter:
        position(q, at[-9:], at)
    assert position.flops(2, 9 * 30, 9).matmul == counter.get_total_flops()
    assert position.flops(2, 81) == position.flops(2, 81, 9)
