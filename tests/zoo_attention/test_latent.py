"""Latent attention against its equations, token by token in float64; and what decoding costs."""

from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.testing import Check, conformance
from zoo_attention.latent import LatentAttention
from zoo_position.learned import Learned
from zoo_position.rope import Rope

DIM, HEADS, RANK, TURNED = 24, 3, 10, 4


@conformance(LatentAttention, q_rank=6, kv_rank=5, rope_width=2)
def test_promises_with_queries_compressed(check: Check) -> None:
    check()  # type: ignore[call-arg]


def build(causal: bool = True, rope: bool = True, **options: object) -> LatentAttention:
    torch.manual_seed(0)
    mixer = LatentAttention(
        DIM,
        causal=causal,
        position=Rope if rope else None,
        heads=HEADS,
        kv_rank=RANK,
        rope_width=TURNED,
        **options,  # type: ignore[arg-type]
    ).double()
    for each in mixer.modules():
        if isinstance(each, nn.RMSNorm):
            nn.init.normal_(each.weight, 1, 0.3)
    return mixer


def normed(x: Tensor, norm: nn.RMSNorm) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight


def turned(x: Tensor, at: int) -> Tensor:
    """By complex numbers."""
    half = x.shape[-1] // 2
    angle = at * 10000.0 ** (-torch.arange(half).double() / half)
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], dim=-1)


def by_hand(mixer: LatentAttention, x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Keys and values of each token from its own latent, one query at a time."""
    e = DIM // HEADS
    r = mixer.turned
    if isinstance(mixer.q, nn.Sequential):
        layers: list[Any] = list(mixer.q)
        down, norm, up = layers
        q = normed(x @ down.weight.mT, norm) @ up.weight.mT
    else:
        q = x @ mixer.q.weight.mT  # type: ignore[operator]
    q = q.view(*q.shape[:2], HEADS, e + r)
    latent = normed((x @ mixer.latent.weight.mT)[..., :RANK], mixer.norm)
    shared = (x @ mixer.latent.weight.mT)[..., RANK:]
    both = latent @ mixer.kv.weight.mT
    keys, values = both.view(*both.shape[:2], HEADS, 2, e).unbind(-2)
    rows = []
    for b in range(len(x)):
        real = x.shape[1] if lengths is None else int(lengths[b])
        for i in range(x.shape[1]):
            last = i + 1 if mixer.causal else real
            heads = []
            for h in range(HEADS):
                score = torch.stack([q[b, i, h, :e] @ keys[b, j, h] for j in range(last)])
                if r:
                    mine = turned(q[b, i, h, e:], i)
                    score = score + torch.stack(
                        [mine @ turned(shared[b, j], j) for j in range(last)]
                    )
                weight = (score / sqrt(e + r)).softmax(0)
                heads.append(weight @ values[b, :last, h])
            rows.append(torch.cat(heads) @ mixer.out.weight.mT)
    return torch.stack(rows).view_as(x)


def gradients(y: Tensor, x: Tensor, mixer: nn.Module) -> list[Tensor]:
    cotangent = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return list(torch.autograd.grad((y * cotangent).sum(), [x, *mixer.parameters()]))


@pytest.mark.parametrize("options", [{}, {"q_rank": 7}, {"rope": False}], ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
def test_outputs_and_gradients_are_those_of_the_equations(
    kernel: str, causal: bool, options: dict[str, object]
) -> None:
    mixer = build(causal, **options, kernel=kernel)  # type: ignore[arg-type]
    x = torch.randn(2, 7, DIM, dtype=torch.float64, requires_grad=True)
    ours, truth = mixer(x), by_hand(mixer, x)
    torch.testing.assert_close(ours, truth, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(gradients(ours, x, mixer), gradients(truth, x, mixer))
    assert mixer.kernel_ran == kernel


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_padding_of_any_kind_changes_nothing(causal: bool) -> None:
    mixer = build(causal)
    x, lengths = torch.randn(2, 7, DIM, dtype=torch.float64), torch.tensor([7, 3])
    real = torch.arange(7) < lengths[:, None]
    x = x.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    clean = x.detach().nan_to_num(7.0)
    torch.testing.assert_close(y, by_hand(mixer, clean, lengths)[real])
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("kernel", ["auto", "reference"])
def test_few_queries_are_absorbed_and_many_expanded_to_the_same_end(kernel: str) -> None:
    mixer = build(kernel=kernel)
    x = torch.randn(2, 40, DIM, dtype=torch.float64)
    wanted = mixer(x)
    assert mixer.absorbs(1, 40)
    assert not mixer.absorbs(20, 40)
    for first, new in ((39, 1), (20, 20), (35, 5)):
        _, state = mixer.prefill(x[:, :first])
        y, (done, kept) = mixer.prefill(x[:, first : first + new], state)
        assert done == first + new
        assert kept.shape == (2, done, RANK + TURNED)
        torch.testing.assert_close(y, wanted[:, first:done])


def test_a_step_reads_the_cache_and_never_expands_it() -> None:
    mixer = build().float()
    spent = []
    for past in (100, 200):
        state = (past, torch.randn(1, past, RANK + TURNED))
        with FlopCounterMode(display=False, custom_mapping=none_of_sdpa()) as counter:
            mixer.step(torch.randn(1, DIM), state)
        spent.append(counter.get_total_flops())
    # a product with each latent for the score and one for the sum, in every head
    assert spent[1] - spent[0] <= 100 * HEADS * 4 * (RANK + TURNED)
    assert spent[1] - spent[0] < 100 * 2 * RANK * 2 * DIM  # to make its keys and values


def none_of_sdpa() -> dict[object, object]:
    """Torch counts nothing for its attention on CPUs."""

    def count(
        q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], *_: object, **__: object
    ) -> int:
        batch, heads, queries, width = q
        return 2 * batch * heads * queries * k[2] * (width + v[3])

    return {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: count}


def test_the_state_is_the_latents() -> None:
    mixer = build()
    assert mixer.state_size(50) == 50 * (RANK + TURNED) < 50 * 2 * DIM
    assert build(rope=False).state_size(50) == 50 * RANK
    default = LatentAttention(64, position=Rope)
    assert (default.rank, default.turned) == (32, 8)


def test_widths_that_a_position_cannot_turn_are_told_as_the_option() -> None:
    with pytest.raises(zoo.ZooError, match=r"mixer.rope_width=3 .*; try mixer.rope_width=4"):
        LatentAttention(DIM, position=Rope, rope_width=3, heads=3)
    with pytest.raises(zoo.ZooError, match="heads=5 does not divide dim=24"):
        LatentAttention(DIM, heads=5)
    with pytest.raises(zoo.ZooError, match="embedding cannot act inside"):
        LatentAttention(DIM, position=lambda dim, heads: Learned(dim, heads, max_length=8))


def test_bidirectional_does_not_step() -> None:
    mixer = build(causal=False)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.step(torch.zeros(1, DIM).double(), mixer.initial_state(1))
