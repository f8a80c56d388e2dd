"""Options of full attention keep every promise; which kernel runs, with each position, is said."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jaxtyping
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.testing import Check, conformance
from zoo_attention.full import Attention
from zoo_attention.grouped import GroupedQuery, MultiQuery

POSITIONS = zoo.load().positions


@conformance(Attention, kv_heads=2, qk_norm=True, sinks=True)
def test_promises_with_every_option(check: Check) -> None:
    check()  # type: ignore[call-arg]


def build(position: str, kernel: str = "auto") -> Attention:
    made = partial(POSITIONS[position])
    return Attention(32, position=made, kernel=kernel)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("position", "kernel"),
    [
        ("none", "sdpa"),
        ("rope", "sdpa"),
        ("alibi", "sdpa"),
        ("t5", "sdpa"),
        ("shaw", "sdpa"),
        ("fire", "sdpa"),
        ("cope", "reference"),
    ],
)
def test_the_kernel_on_a_cpu_is_one_that_takes_the_position(position: str, kernel: str) -> None:
    mixer = build(position)
    mixer(torch.zeros(1, 5, 32))
    assert mixer.kernel_ran == kernel
    mixer.step(torch.zeros(1, 32), mixer.initial_state(1))
    assert mixer.kernel_ran == kernel


def test_a_kernel_by_name_that_cannot_take_the_position_says_why() -> None:
    with pytest.raises(zoo.ZooError, match=r"kernel=sdpa cannot run here: .*scores themselves"):
        build("cope", "sdpa")(torch.zeros(1, 5, 32))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("kernel", ["flash_attn", "flex", "xformers"])
def test_a_kernel_for_a_gpu_says_so_elsewhere(kernel: str) -> None:
    with pytest.raises(zoo.ZooError, match=f"kernel={kernel} cannot run here: .*no CUDA device"):
        build("none", kernel)(torch.zeros(1, 5, 32))


def test_sinks_begin_at_a_score_of_zero_and_take_their_share() -> None:
    torch.manual_seed(0)
    plain, sunk = Attention(8, heads=1).double(), Attention(8, heads=1, sinks=True).double()
    sunk.load_state_dict({**plain.state_dict(), "sinks": torch.zeros(1)})
    x = torch.randn(1, 1, 8).double()
    q, k, _ = plain.project(x)
    own = (q @ k.mT / 8**0.5).exp()  # one key: its weight is 1, and own / (own + 1) with a sink
    torch.testing.assert_close(sunk(x), plain(x) * (own / (own + 1)).squeeze(1))


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("position", ["none", "rope", "t5", "cope"])
@pytest.mark.parametrize("cls", [Attention, MultiQuery])
def test_flops_of_sinks_are_those_counted(
    cls: type[Attention], position: str, causal: bool
) -> None:
    acts: Any = POSITIONS[position]
    if position == "t5":
        acts = partial(acts, causal=causal)
    with torch.device("meta"):
        mixer = cls(32, causal=causal or position == "cope", position=acts, sinks=True)
        x = torch.empty(2, 40, 32)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    assert mixer.flops(2, 40).matmul == counter.get_total_flops()


@pytest.mark.parametrize(("cls", "kv_heads"), [(Attention, 4), (GroupedQuery, 2), (MultiQuery, 1)])
def test_caches_shrink_with_the_heads_of_keys(cls: type[Attention], kv_heads: int) -> None:
    mixer = cls(32)
    assert mixer.state_size(100) == 2 * 100 * kv_heads * 8
    _, (_, keys, values) = mixer.prefill(torch.zeros(1, 100, 32))
    assert keys.numel() + values.numel() == mixer.state_size(100)


def test_groups_of_one_head_are_full_attention() -> None:
    torch.manual_seed(0)
    grouped = GroupedQuery(32, heads=4, kv_heads=2).double()
    full = Attention(32, heads=4).double()
    q, k, v = grouped.qkv.weight.tensor_split([32, 48])
    wide = [z.view(2, 8, 32).repeat_interleave(2, 0).flatten(0, 1) for z in (k, v)]
    full.qkv.weight.data.copy_(torch.cat([q, *wide]))
    full.out.weight.data.copy_(grouped.out.weight)
    x = torch.randn(2, 13, 32).double()
    torch.testing.assert_close(grouped(x), full(x))


def test_key_heads_that_do_not_divide_are_refused_with_those_that_do() -> None:
    with pytest.raises(zoo.ZooError, match=r"kv_heads=2 does not divide mixer.heads=3; .* 1, 3"):
        GroupedQuery(24, heads=3)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No shapes checked: torch.compile cannot follow the checker."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "position"),
    [("attention", "t5"), ("gqa", "rope"), ("mla", "rope"), ("diff_attention", "alibi")],
)
def test_a_compiler_can_follow(name: str, position: str) -> None:
    torch.manual_seed(0)
    mixer = zoo.load().mixers[name](16, position=POSITIONS[position])
    compiled: Any = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    x, lengths = torch.randn(2, 260, 16), torch.tensor([260, 100])
    y, wanted = compiled(x, lengths), mixer(x)
    torch.testing.assert_close(y[0], wanted[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(y[1, :100], wanted[1, :100], rtol=1e-4, atol=1e-4)
