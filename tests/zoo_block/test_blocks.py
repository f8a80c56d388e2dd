"""Blocks against the lines of their papers, with a mixer one can follow by hand."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo_block.norm import build, normed
from zoo_block.postnorm import PostNorm
from zoo_block.prenorm import PreNorm

DIM = 6


class RunningSum(zoo.Mixer):
    """y_t = x_1 + ... + x_t."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return x.cumsum(dim=1)

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, DIM).double()

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return state + x, state + x

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(0, batch * length * DIM)

    def state_size(self, length: int) -> int:
        return DIM


class Silent(RunningSum):
    """Adds nothing, so that what varies is the channel."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x)


class Square(zoo.Channel):
    """x squared."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(1000)


class Absent(Square):
    """Must never be asked."""

    empty = True

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("an empty channel was used")


def by_hand(x: Tensor, norm: str, eps: float = 1e-5) -> Tensor:
    """A norm fresh from its initialisation."""
    if norm == "layer":
        x = x - x.mean(dim=-1, keepdim=True)
    return x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()


@pytest.mark.parametrize("norm", ["rms", "layer"])
@pytest.mark.parametrize("channel", [Square, Absent])
def test_prenorm_adds_to_a_stream_that_is_never_normed(
    norm: Literal["rms", "layer"], channel: type[zoo.Channel]
) -> None:
    block = PreNorm(RunningSum(), channel(), DIM, norm=norm).double()
    x = torch.randn(2, 5, DIM, dtype=torch.float64)
    exact = x + by_hand(x, norm).cumsum(dim=1)
    if channel is Square:
        exact = exact + by_hand(exact, norm).square()
    torch.testing.assert_close(block(x), exact)


@pytest.mark.parametrize("norm", ["rms", "layer"])
@pytest.mark.parametrize("channel", [Square, Absent])
def test_postnorm_norms_the_stream_itself(
    norm: Literal["rms", "layer"], channel: type[zoo.Channel]
) -> None:
    block = PostNorm(RunningSum(), channel(), DIM, norm=norm).double()
    x = torch.randn(2, 5, DIM, dtype=torch.float64)
    exact = by_hand(x + x.cumsum(dim=1), norm)
    if channel is Square:
        exact = by_hand(exact + exact.square(), norm)
    torch.testing.assert_close(block(x), exact)


def test_the_norms_by_default_are_those_of_the_papers() -> None:
    pre, post = PreNorm(RunningSum(), Square(), DIM), PostNorm(RunningSum(), Square(), DIM)
    assert isinstance(pre.before_mixer, nn.RMSNorm)
    assert isinstance(post.after_mixer, nn.LayerNorm)


@pytest.mark.parametrize("cls", [PreNorm, PostNorm])
def test_steps_are_the_forward(cls: Any) -> None:
    block = cls(RunningSum(), Square(), DIM).double()
    x = torch.randn(2, 7, DIM, dtype=torch.float64)
    state, ys = block.mixer.initial_state(2), []
    for t in range(7):
        y, state = block.step(x[:, t], state)
        ys.append(y)
    torch.testing.assert_close(torch.stack(ys, dim=1), block(x))


@pytest.mark.parametrize("cls", [PreNorm, PostNorm])
def test_an_empty_channel_leaves_no_norm_and_no_flops(cls: Any) -> None:
    with_channel, without = (cls(RunningSum(), c(), DIM) for c in (Square, Absent))
    count = [sum(p.numel() for p in block.parameters()) for block in (with_channel, without)]
    assert count[0] == 2 * count[1]
    assert with_channel.flops(2, 3) == zoo.Flops(1000, 36)
    assert without.flops(2, 3) == zoo.Flops(0, 36)


@pytest.mark.parametrize("cls", [PreNorm, PostNorm])
@pytest.mark.parametrize(
    ("mixer", "channel"), [(RunningSum, Absent), (Silent, Square)], ids=["mixer", "channel"]
)
def test_dropout_acts_on_each_half_in_training_only(cls: Any, mixer: Any, channel: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 4, DIM, dtype=torch.float64)
    block = cls(mixer(), channel(), DIM, dropout=0.5).double()
    assert not torch.equal(block(x), block(x))
    torch.testing.assert_close(block.eval()(x), cls(mixer(), channel(), DIM).double()(x))


def test_a_norm_in_bfloat16_has_the_same_small_eps() -> None:
    block = PreNorm(RunningSum(), Absent(), DIM)
    x = torch.full((1, 1, DIM), 0.05)
    narrow = block.bfloat16()(x.bfloat16()).float()
    torch.testing.assert_close(narrow, x + by_hand(x, "rms"), atol=1e-2, rtol=0)


def test_a_norm_over_the_batch_counts_tokens_and_no_padding() -> None:
    norm = build("batch", 3).double()
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    lengths = torch.tensor([5, 1, 3, 2])
    real = zoo.nn.real_positions(lengths, x)
    x[~real] = torch.nan
    tokens = x[real]
    y = normed(norm, x, real)
    exact = (tokens - tokens.mean(0)) / (tokens.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(y[real], exact)
    torch.testing.assert_close(norm.running_mean, 0.1 * tokens.mean(0))
    norm.eval()
    torch.testing.assert_close(normed(norm, x, real)[real], norm(tokens))


@pytest.mark.parametrize("real", [None, torch.tensor([[True, False, False]])])
def test_a_norm_over_one_token_is_by_what_it_remembers(real: Tensor | None) -> None:
    norm = build("batch", 3)
    norm(torch.randn(4, 5, 3))
    x = torch.randn(1, 1 if real is None else 3, 3, requires_grad=True)
    y = normed(norm, x, real)
    torch.testing.assert_close(y[0, 0], norm.eval()(x[:, :1])[0, 0])
    (gradient,) = torch.autograd.grad(y[0, 0].sum(), x)
    assert (gradient[0, 0] != 0).all()


@pytest.mark.parametrize("cls", [PreNorm, PostNorm])
def test_batch_norm_after_training_sees_each_token_alone(cls: type[PreNorm | PostNorm]) -> None:
    block = cls(RunningSum(), Square(), DIM, norm="batch").double()
    for _ in range(3):
        block(torch.randn(2, 7, DIM, dtype=torch.float64), torch.tensor([7, 4]))
    block.eval()
    x, state = torch.randn(2, 7, DIM, dtype=torch.float64), block.mixer.initial_state(2)
    wanted = block(x, torch.tensor([7, 4]))
    for t, token in enumerate(x.unbind(1)):
        y, state = block.step(token, state)
        torch.testing.assert_close(y[0], wanted[0, t])
    alone = block(x[1:, :4])
    torch.testing.assert_close(alone[0], wanted[1, :4])
