"""The mixer: names, initialisation, decoding, precision, costs."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm.mamba2 import Mamba2

SMALL: dict[str, Any] = {"state": 6, "head_dim": 4}


def build(dim: int = 8, **options: Any) -> Mamba2:
    torch.manual_seed(0)
    return Mamba2(dim, **{**SMALL, **options})


def carried(state: Any) -> int:
    """Numbers in memory, those behind a view included; all are float32."""
    return sum(int(tensor.untyped_storage().nbytes()) for tensor in state) // 4


def test_parameters_are_named_and_shaped_as_in_mamba_ssm() -> None:
    mixer = Mamba2(24, state=5, conv=3, head_dim=8, groups=2)
    shapes = {name: tuple(p.shape) for name, p in mixer.named_parameters()}
    assert shapes == {
        "dt_bias": (6,),
        "A_log": (6,),
        "D": (6,),
        "in_proj.weight": (48 + 48 + 2 * 2 * 5 + 6, 24),  # z, x, B and C of two groups, dt
        "conv1d.weight": (68, 1, 3),
        "conv1d.bias": (68,),
        "norm.weight": (48,),
        "out_proj.weight": (24, 48),
    }
    assert not list(mixer.buffers())
    assert Mamba2(32).in_proj.out_features == 64 + 64 + 2 * 128 + 1  # the authors' defaults


def test_dynamics_start_as_in_the_paper() -> None:
    mixer = build(1024)
    a = mixer.A_log.exp()
    assert 1 <= a.min() < 1.2
    assert 15.8 < a.max() <= 16
    assert 8 < a.mean() < 9  # uniform
    assert torch.equal(mixer.D, torch.ones(512))
    dt = F.softplus(mixer.dt_bias.double())
    assert 1e-3 <= dt.min() + 1e-6 < 1.1e-3
    assert 0.09 < dt.max() <= 0.1 + 1e-6
    middle = math.sqrt(1e-3 * 0.1)  # log-uniform: the median is the geometric mean
    assert middle / 1.3 < dt.median() < middle * 1.3
    assert torch.equal(mixer.norm.weight, torch.ones(2048))


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conv": 1},
        {"state": 1, "head_dim": 1},
        {"conv": 2, "groups": 4, "expand": 4, "norm_before_gate": True},
        {"head_dim": 16, "dt_limit": (0.002, 0.05)},
    ],
    ids=["default", "no-convolution", "one-number", "groups", "limited"],
)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 17)])
def test_steps_equal_forward(kernel: str, options: dict[str, Any], batch: int, length: int) -> None:
    mixer = build(kernel=kernel, **options)
    x = torch.randn(batch, length, 8)
    whole = mixer(x)
    assert whole.shape == x.shape
    assert mixer.kernel_ran == kernel
    state = mixer.initial_state(batch)
    for t in range(length):
        y, state = mixer.step(x[:, t], state)
        torch.testing.assert_close(y, whole[:, t], rtol=1e-4, atol=1e-5)
        assert carried(state) == batch * mixer.state_size(t + 1)


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
def test_prefill_and_steps_equal_one_pass(kernel: str) -> None:
    mixer = build(kernel=kernel)
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
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    assert carried(state) == 2 * mixer.state_size(30)


@pytest.mark.parametrize("kernel", ["numba", "chunked"])
def test_gradients_flow_through_the_prefilled_state(kernel: str) -> None:
    mixer = build(kernel=kernel).double()
    x = torch.randn(1, 12, 8, dtype=torch.float64, requires_grad=True)
    (right,) = torch.autograd.grad(mixer(x)[:, 7:].sum(), x)
    _, state = mixer.prefill(x[:, :7])
    (mine,) = torch.autograd.grad(mixer.prefill(x[:, 7:], state)[0].sum(), x)
    torch.testing.assert_close(mine, right)


def test_kernels_agree_in_outputs_and_all_gradients() -> None:
    x = torch.randn(2, 140, 8, dtype=torch.float64)
    weight = torch.randn_like(x)
    found: list[list[Tensor]] = []
    for kernel in ("numba", "chunked", "reference"):
        mixer = build(kernel=kernel, groups=2).double()
        y = mixer(x)
        torch.autograd.backward((y * weight).sum())
        grads = [p.grad for p in mixer.parameters() if p.grad is not None]
        assert len(grads) == 8
        found.append([y, *grads])
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


@pytest.mark.parametrize("kernel", ["numba", "chunked"])
def test_bfloat16_parameters_carry_a_float32_state(kernel: str) -> None:
    mixer = build(16, kernel=kernel).bfloat16()
    x = torch.randn(2, 40, 16, dtype=torch.bfloat16)
    y, state = mixer.prefill(x)
    exact = build(16)
    exact.load_state_dict(mixer.state_dict())
    right = exact(x.float())
    assert y.dtype == torch.bfloat16
    assert state[1].dtype == mixer.initial_state(1)[1].dtype == torch.float32
    assert (y.float() - right).norm() < 0.02 * right.norm()
    stepped, state = mixer.step(x[:, 0], mixer.initial_state(2))
    assert [stepped.dtype, *(part.dtype for part in state)] == [x.dtype, x.dtype, torch.float32]


@pytest.mark.parametrize("kernel", ["numba", "chunked"])
def test_autocast_trains_and_decodes_close_to_float32(kernel: str) -> None:
    mixer = build(16, kernel=kernel)
    x = torch.randn(2, 40, 16)
    right = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, (window, s) = mixer.prefill(x)
        stepped, _ = mixer.step(x[:, 0], mixer.initial_state(2))
    assert s.dtype == window.dtype == torch.float32
    assert (y.float() - right).norm() < 0.02 * right.norm()
    assert (stepped.float() - right[:, 0]).norm() < 0.02 * right[:, 0].norm()
    torch.autograd.backward(y.float().square().sum())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize("bias", [-1e4, 1e4])
def test_extreme_steps_stay_finite(kernel: str, bias: float) -> None:
    mixer = build(kernel=kernel)
    with torch.no_grad():
        mixer.dt_bias.fill_(bias)
    x = torch.randn(1, 20, 8, requires_grad=True)
    y, (_, s) = mixer.prefill(x)
    found = [y, s, *torch.autograd.grad(y.sum(), [x, *mixer.parameters()])]
    assert all(tensor.isfinite().all() for tensor in found)
    if bias < 0:
        assert not s.any(), "no time passes: nothing is written"


def test_float64_stays_float64() -> None:
    mixer = build().double()
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    single = build()(x.float())
    y, state = mixer.prefill(x)
    assert {y.dtype, *(part.dtype for part in state)} == {torch.float64}
    gap = (y - single).abs().max()
    assert 0 < gap < 1e-5, "rounded to float32 on the way"
    with torch.no_grad():
        mixer.A_log.add_(1e-10)
    assert not torch.equal(mixer(x), y), "the dynamics were rounded to float32"


@pytest.mark.parametrize("options", [{}, {"state": 5, "conv": 2, "expand": 3, "groups": 3}])
def test_flops_are_what_the_counter_sees(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        mixer, x = build(24, **options), torch.empty(3, 100, 24)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    assert mixer.flops(3, 100).matmul == counter.get_total_flops()
    assert mixer.flops(6, 1280).total == 4 * mixer.flops(3, 640).total
    assert 0 < mixer.flops(3, 100).other < mixer.flops(3, 100).matmul


def test_what_must_not_decay_is_marked() -> None:
    mixer = build()
    settings = mixer.parameter_settings()
    assert dict(settings) == {name: {"weight_decay": 0.0} for name in ("A_log", "D", "dt_bias")}
    assert settings.keys() <= dict(mixer.named_parameters()).keys()


def test_sizes_that_do_not_divide_are_refused_with_the_nearest() -> None:
    with pytest.raises(zoo.ZooError, match=r"head_dim=64 does not divide .*head_dim=48"):
        Mamba2(48, head_dim=64)
    heads = [Mamba2(dim).head_dim for dim in (64, 48, 72, 16, 5)]
    assert heads == [64, 48, 48, 32, 10], "unless it is not said"
    with pytest.raises(zoo.ZooError, match=r"head_dim=64 does not divide the 134 .*head_dim=67"):
        Mamba2(67)
    with pytest.raises(zoo.ZooError, match=r"groups=3 does not divide the 4 heads.*groups=2"):
        Mamba2(8, head_dim=4, groups=3)


@pytest.mark.parametrize("limit", [(0.5, 0.1), (-1.0, 1.0), (0.0, float("nan"))])
def test_a_limit_that_is_no_range_is_refused(limit: tuple[float, float]) -> None:
    with pytest.raises(zoo.ZooError, match=r"try mixer.dt_limit=\[0.001,0.1\]"):
        build(dt_limit=limit)


def test_a_kernel_that_cannot_run_says_what_to_install() -> None:
    with pytest.raises(zoo.ZooError, match=r"mamba_ssm cannot run here: .*pip install mamba-ssm"):
        build(kernel="mamba_ssm")(torch.randn(1, 3, 8))


def test_auto_takes_the_compiled_kernel_on_a_cpu() -> None:
    mixer = build()
    mixer(torch.randn(1, 3, 8))
    assert mixer.kernel_ran == "numba"
