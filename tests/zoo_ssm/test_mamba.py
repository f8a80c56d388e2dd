"""The mixer: names, initialisation, decoding, precision, costs."""

import math
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm.mamba import Mamba


def build(dim: int = 8, **options: Any) -> Mamba:
    torch.manual_seed(0)
    return Mamba(dim, **options)


def carried(state: Any) -> int:
    """Numbers in memory, those behind a view included; all are float32."""
    return sum(int(tensor.untyped_storage().nbytes()) for tensor in state) // 4


def test_parameters_are_named_and_shaped_as_in_mamba_ssm() -> None:
    shapes = {name: tuple(p.shape) for name, p in Mamba(24, state=5, conv=3).named_parameters()}
    assert shapes == {
        "A_log": (48, 5),
        "D": (48,),
        "in_proj.weight": (96, 24),
        "conv1d.weight": (48, 1, 3),
        "conv1d.bias": (48,),
        "x_proj.weight": (12, 48),  # dt_rank = ceil(24 / 16) = 2, then B and C
        "dt_proj.weight": (48, 2),
        "dt_proj.bias": (48,),
        "out_proj.weight": (24, 48),
    }
    assert not list(Mamba(8).buffers())


def test_dynamics_start_as_in_the_paper() -> None:
    mixer = build(512, state=4)
    torch.testing.assert_close(mixer.A_log.exp(), torch.tensor([1.0, 2, 3, 4]).expand(1024, 4))
    assert torch.equal(mixer.D, torch.ones(1024))
    dt = F.softplus(mixer.dt_proj.bias.double())
    assert 1e-3 <= dt.min() + 1e-6 < 1.05e-3
    assert 0.095 < dt.max() <= 0.1 + 1e-6
    middle = math.sqrt(1e-3 * 0.1)  # log-uniform: the median is the geometric mean
    assert middle / 1.3 < dt.median() < middle * 1.3
    bound = mixer.rank**-0.5
    weight = mixer.dt_proj.weight.abs()
    assert 0.99 * bound < weight.max() <= bound
    assert 0.45 * bound < weight.mean() < 0.55 * bound


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize(
    "options",
    [{}, {"conv": 1}, {"state": 1}, {"conv": 2, "expand": 1, "state": 3}],
    ids=["default", "no-convolution", "one-number", "small"],
)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 13), (3, 17)])
def test_steps_equal_forward(kernel: str, options: dict[str, Any], batch: int, length: int) -> None:
    mixer = build(kernel=kernel, **options)
    x = torch.randn(batch, length, 8)
    whole = mixer(x)
    assert whole.shape == x.shape
    state = mixer.initial_state(batch)
    for t in range(length):
        y, state = mixer.step(x[:, t], state)
        torch.testing.assert_close(y, whole[:, t], rtol=1e-4, atol=1e-6)
        assert carried(state) == batch * mixer.state_size(t + 1)


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize("state_size", [1, 16])
def test_prefill_and_steps_equal_one_pass(kernel: str, state_size: int) -> None:
    mixer = build(kernel=kernel, state=state_size)
    x = torch.randn(2, 30, 8)
    whole = mixer(x)
    first, state = mixer.prefill(x[:, :2])  # shorter than the convolution
    second, state = mixer.prefill(x[:, 2:21], state)
    assert carried(state) == 2 * mixer.state_size(21)
    rest = []
    for t in range(21, 30):
        y, state = mixer.step(x[:, t], state)
        rest.append(y)
    parts = torch.cat([first, second, torch.stack(rest, 1)], dim=1)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert carried(state) == 2 * mixer.state_size(30)


def test_gradients_flow_through_the_prefilled_state() -> None:
    mixer = build().double()
    x = torch.randn(1, 12, 8, dtype=torch.float64, requires_grad=True)
    (right,) = torch.autograd.grad(mixer(x)[:, 7:].sum(), x)
    _, state = mixer.prefill(x[:, :7])
    (mine,) = torch.autograd.grad(mixer.prefill(x[:, 7:], state)[0].sum(), x)
    torch.testing.assert_close(mine, right)


def test_kernels_agree_in_outputs_and_all_gradients() -> None:
    fused, chunked = build(kernel="numba").double(), build(kernel="chunked").double()
    reference = build(kernel="reference").double()
    x = torch.randn(2, 70, 8, dtype=torch.float64)
    weight = torch.randn_like(x)
    found: list[list[Tensor]] = []
    for mixer in (fused, chunked, reference):
        y = mixer(x)
        torch.autograd.backward((y * weight).sum())
        grads = [p.grad for p in mixer.parameters() if p.grad is not None]
        assert len(grads) == 9
        found.append([y, *grads])
        assert mixer.kernel_ran == mixer.kernel
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[2])


def test_the_future_and_the_padding_do_not_reach_the_past() -> None:
    mixer = build()
    x = torch.randn(2, 20, 8)
    other = x.clone()
    other[0, 11:], other[1, 5:] = 1e3, -7.0
    lengths = torch.tensor([11, 5])
    one, two = mixer(x, lengths), mixer(other, lengths)
    assert torch.equal(one[0, :11], two[0, :11])
    assert torch.equal(one[1, :5], two[1, :5])
    assert not torch.equal(one, two)


def test_bfloat16_parameters_carry_a_float32_state() -> None:
    mixer = build(16).bfloat16()
    x = torch.randn(2, 40, 16, dtype=torch.bfloat16)
    y, state = mixer.prefill(x)
    exact = build(16)
    exact.load_state_dict(mixer.state_dict())
    assert y.dtype == torch.bfloat16
    assert state[1].dtype == mixer.initial_state(1)[1].dtype == torch.float32
    torch.testing.assert_close(y.float(), exact(x.float()), rtol=0.1, atol=3e-3)
    stepped, state = mixer.step(x[:, 0], mixer.initial_state(2))
    assert [stepped.dtype, *(part.dtype for part in state)] == [x.dtype, x.dtype, torch.float32]


def test_autocast_trains_and_decodes_close_to_float32() -> None:
    mixer = build(16)
    x = torch.randn(2, 40, 16)
    right = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, (window, h) = mixer.prefill(x)
        stepped, _ = mixer.step(x[:, 0], mixer.initial_state(2))
    assert h.dtype == window.dtype == torch.float32
    torch.testing.assert_close(y.float(), right, rtol=0.1, atol=3e-3)
    torch.testing.assert_close(stepped.float(), right[:, 0], rtol=0.1, atol=3e-3)
    torch.autograd.backward(y.float().square().sum())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


def test_float64_stays_float64() -> None:
    mixer = build().double()
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    single = build()(x.float())
    y, state = mixer.prefill(x)
    assert {y.dtype, *(part.dtype for part in state)} == {torch.float64}
    gap = (y - single).abs().max()
    assert 0 < gap < 1e-6, "rounded to float32 on the way"
    with torch.no_grad():
        mixer.A_log.add_(1e-10)
    assert not torch.equal(mixer(x), y), "the dynamics were rounded to float32"


@pytest.mark.parametrize("options", [{}, {"state": 5, "conv": 2, "expand": 3}])
def test_flops_are_what_the_counter_sees(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        mixer, x = Mamba(24, **options), torch.empty(3, 100, 24)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    flops = mixer.flops(3, 100)
    assert flops.matmul == counter.get_total_flops()
    assert mixer.flops(6, 200).total == 4 * flops.total
    # the part no counter sees: a multiply-add, two products and an exponential for each state
    states = 3 * 100 * mixer.inner * mixer.state
    assert 5 * states < flops.other < 5 * states + 3 * 100 * mixer.inner * 20


def test_what_must_not_decay_is_marked() -> None:
    mixer = build()
    settings = mixer.parameter_settings()
    assert dict(settings) == {
        name: {"weight_decay": 0.0} for name in ("A_log", "D", "dt_proj.bias")
    }
    assert settings.keys() <= dict(mixer.named_parameters()).keys()


def test_a_kernel_that_cannot_run_says_what_to_install() -> None:
    with pytest.raises(zoo.ZooError, match=r"mamba_ssm cannot run here: .*pip install mamba-ssm"):
        build(kernel="mamba_ssm")(torch.randn(1, 3, 8))


def test_auto_takes_the_compiled_kernel_on_a_cpu_and_torch_without_numba(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixer, x = build(), torch.randn(1, 30, 8)
    y = mixer(x)
    assert mixer.kernel_ran == "numba"
    zoo.ops.fused.missing.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    plain = mixer(x)
    assert mixer.kernel_ran == "chunked"
    torch.testing.assert_close(plain, y)
    with pytest.raises(zoo.ZooError, match=r"numba cannot run here: .*pip install 'mixer-zoo\[cpu"):
        build(kernel="numba")(x)
    monkeypatch.undo()
    zoo.ops.fused.missing.cache_clear()


def test_a_state_beyond_the_kernels_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"mixer\.state=257: at most 256"):
        Mamba(8, state=257)
