"""Every position inside full attention: decoding, 4 times the longest length, bf16, compilation."""

from collections.abc import Iterator
from functools import partial
from math import sqrt
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

import zoo
from zoo.options import given
from zoo_attention.full import Attention
from zoo_position.alibi import ALiBi
from zoo_position.cope import CoPE
from zoo_position.fire import Fire
from zoo_position.rope import Rope
from zoo_position.rope_2d import Rope2D
from zoo_position.shaw import Shaw
from zoo_position.t5 import T5
from zoo_position.xpos import XPos

DIM, HEADS, LONGEST = 24, 3, 16
INSIDE: dict[str, Any] = {
    "alibi": ALiBi,
    "cope": CoPE,
    "fire": partial(Fire, threshold=8.0),
    "rope": Rope,
    "rope_2d": Rope2D,
    "shaw": partial(Shaw, max_distance=5),
    "t5": partial(T5, buckets=8, max_distance=12),
    "xpos": XPos,
    "yarn": partial(Rope, scaling="yarn", factor=4.0),
}
BOTH = [
    (name, direction)
    for name, acts in INSIDE.items()
    for direction in getattr(acts, "func", acts).directions  # a class, or a part of one
]
EACH = pytest.mark.parametrize(("name", "direction"), sorted(BOTH))


def build(name: str, direction: str = "causal", seed: int = 0) -> Attention:
    torch.manual_seed(seed)
    causal, acts = direction == "causal", INSIDE[name]
    position = partial(acts, **given(acts, max_length=LONGEST, causal=causal))
    mixer = Attention(DIM, causal=causal, position=position, heads=HEADS).double()
    assert mixer.position is not None
    for parameter in mixer.position.parameters():
        if parameter.ndim:  # CoPE begins at zero
            torch.nn.init.normal_(parameter)
    return mixer


def by_hand(mixer: Attention, x: Tensor) -> Tensor:
    """The softmax of the equation, with what the position says of each row of keys alone."""
    q, k, v = (z[0] for z in mixer.project(x))
    position, ys = mixer.position, []
    for i in range(x.shape[1]):
        keys = torch.arange(i + 1 if mixer.causal else x.shape[1])
        row = q[None, :, i : i + 1]
        scores = row @ k[None, :, keys].mT / sqrt(DIM / HEADS)
        if isinstance(position, zoo.ContextPosition):
            scores = scores + position(row, scores)
        elif isinstance(position, zoo.ScorePosition):
            scores = scores + position(row, torch.tensor([i]), keys)
        ys.append((scores.softmax(dim=-1) @ v[None, :, keys])[0, :, 0].flatten())
    y: Tensor = mixer.out(torch.stack(ys))
    return y


@EACH
def test_it_enters_the_softmax_at_4_times_the_longest_length(name: str, direction: str) -> None:
    mixer = build(name, direction)
    x = torch.randn(1, 4 * LONGEST, DIM, dtype=torch.float64, requires_grad=True)
    ours, right = mixer(x)[0], by_hand(mixer, x)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, right)
    inputs = [x, *mixer.parameters()]
    cotangent = torch.linspace(-1, 1, right.numel(), dtype=torch.float64).view_as(right)
    found = [torch.autograd.grad(y, inputs, cotangent) for y in (ours, right)]
    torch.testing.assert_close(*found)
    for (parameter, _), grad in zip(mixer.named_parameters(), found[0][1:], strict=True):
        assert grad.any(), f"no gradient reaches {parameter}"


@pytest.mark.parametrize("name", list(INSIDE))
def test_steps_and_chunks_are_the_forward_far_beyond_the_longest(name: str) -> None:
    mixer, x = build(name), torch.randn(2, 4 * LONGEST, DIM, dtype=torch.float64)
    whole, (y, state) = mixer(x), mixer.prefill(x[:, :50])
    torch.testing.assert_close(y, whole[:, :50])
    y, state = mixer.prefill(x[:, 50:60], state)
    torch.testing.assert_close(y, whole[:, 50:60])
    for t in range(60, 4 * LONGEST):
        y, state = mixer.step(x[:, t], state)
        torch.testing.assert_close(y, whole[:, t])


@EACH
def test_no_token_at_all_is_no_error(name: str, direction: str) -> None:
    mixer, none = build(name, direction), torch.zeros(2, 0, DIM, dtype=torch.float64)
    assert mixer(none).shape == none.shape
    if mixer.causal:
        _, state = mixer.prefill(torch.randn(2, 5, DIM, dtype=torch.float64))
        y, (done, *_) = mixer.prefill(none, state)
        assert y.shape == none.shape
        assert done == 5


@EACH
def test_what_is_no_number_comes_out_as_such(name: str, direction: str) -> None:
    """A diverged training is told of by its loss, not by an index out of bounds."""
    x = torch.full((1, 5, DIM), torch.nan, dtype=torch.float64)
    assert build(name, direction)(x).isnan().all()


@EACH
def test_the_order_of_the_past_is_told(name: str, direction: str) -> None:
    mixer, x = build(name, direction), torch.randn(1, 9, DIM, dtype=torch.float64)
    order = torch.tensor([3, 1, 0, 2, 7, 5, 4, 6, 8])
    assert (mixer(x[:, order])[:, -1] - mixer(x)[:, -1]).abs().max() > 1e-6


@EACH
def test_bfloat16_far_out_stays_near_float64(name: str, direction: str) -> None:
    mixer, x = build(name, direction), torch.randn(2, 300, DIM, dtype=torch.float64)
    right = mixer(x)
    # the same numbers, rounded once: what is left is what is computed in bf16
    mixer, x = mixer.bfloat16(), x.bfloat16()
    y = mixer(x)
    assert y.dtype == torch.bfloat16
    assert (y.double() - right).norm() < 0.05 * right.norm()


@pytest.mark.parametrize("name", list(INSIDE))
def test_meta_tensors_pass(name: str) -> None:
    with torch.device("meta"):
        acts = INSIDE[name]
        position = partial(acts, **given(acts, max_length=LONGEST, causal=True))
        mixer = Attention(DIM, position=position, heads=HEADS)
        assert mixer(torch.empty(2, 20, DIM)).shape == (2, 20, DIM)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No shapes checked: torch.compile cannot follow the checker."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["fire", "rope", "shaw", "t5"])
def test_the_compiler_takes_it_whole(name: str) -> None:
    mixer = build(name).float()
    x = torch.randn(1, 20, DIM)
    compiled: Any = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    found = [torch.autograd.grad(f(x).square().sum(), mixer.qkv.weight) for f in (compiled, mixer)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("position", [T5, Shaw])
def test_a_position_of_the_other_direction_is_refused(position: Any) -> None:
    with pytest.raises(zoo.ZooError, match=rf"partial\({position.__name__}, causal=False\)"):
        Attention(16, causal=False, position=position)
    Attention(16, causal=False, position=partial(position, causal=False))
    with pytest.raises(zoo.ZooError, match="XPos is not defined for a bidirectional mixer"):
        Attention(16, causal=False, position=partial(XPos, max_length=64))
