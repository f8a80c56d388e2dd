"""The mixer: names, initialisation, decoding, precision, costs."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.model import state_tensors
from zoo.testing import conformance
from zoo_ssm.mamba3 import Mamba3, turned

SISO = {"state": 8, "head_dim": 8}
MIMO = {"state": 10, "head_dim": 4, "groups": 2, "rank": 3, "out_norm": True}
BOTH = pytest.mark.parametrize("options", [SISO, MIMO], ids=["siso", "mimo"])


def build(dim: int = 8, **options: Any) -> Mamba3:
    torch.manual_seed(0)
    return Mamba3(dim, **options)


def scattered(mixer: Mamba3) -> Mamba3:
    """Away from the special values of the initialisation."""
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


@conformance(Mamba3, state=16, head_dim=8, groups=2, rank=2, rope_fraction=1.0, out_norm=True)
def test_mimo(check: Callable[[], None]) -> None:
    check()


def test_parameters_are_named_and_shaped_as_in_mamba_ssm() -> None:
    mixer = Mamba3(12, state=6, head_dim=4, groups=2, rank=3, out_norm=True)
    shapes = {name: tuple(p.shape) for name, p in mixer.named_parameters()}
    assert shapes == {
        # z, x of 24 each; B, C of 6 in 2 groups, 3 ranks; dt, A, lambda of 6 heads; 1 angle
        "in_proj.weight": (24 + 24 + 36 + 36 + 6 + 6 + 6 + 1, 12),
        "dt_bias": (6,),
        "B_bias": (6, 3, 6),
        "C_bias": (6, 3, 6),
        "B_norm.weight": (6,),
        "C_norm.weight": (6,),
        "mimo_x": (6, 3, 4),
        "mimo_z": (6, 3, 4),
        "mimo_o": (6, 3, 4),
        "D": (6,),
        "norm.weight": (24,),
        "out_proj.weight": (12, 24),
    }
    assert not list(mixer.buffers())
    siso = dict(Mamba3(12, state=6, head_dim=4, rope_fraction=1.0).named_parameters())
    absent = {"mimo_x", "mimo_z", "mimo_o", "norm.weight"}
    assert siso.keys() == shapes.keys() - absent
    assert siso["in_proj.weight"].shape == (24 + 24 + 6 + 6 + 18 + 3, 12)
    assert siso["B_bias"].shape == (6, 1, 6)


def test_dynamics_start_as_in_mamba_ssm() -> None:
    mixer = build(512, head_dim=1, rank=4)
    dt = F.softplus(mixer.dt_bias.double())
    assert 1e-3 <= dt.min() + 1e-6 < 1.05e-3
    assert 0.095 < dt.max() <= 0.1 + 1e-6
    middle = math.sqrt(1e-3 * 0.1)  # log-uniform: the median is the geometric mean
    assert middle / 1.3 < dt.median() < middle * 1.3
    for name, value in {"B_bias": 1, "C_bias": 1, "D": 1, "mimo_z": 1}.items():
        assert (mixer.get_parameter(name) == value).all()
    assert (mixer.mimo_x == 0.25).all()
    assert (mixer.mimo_o == 0.25).all()


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@BOTH
def test_prefill_and_steps_equal_one_pass(kernel: str, options: dict[str, Any]) -> None:
    mixer = scattered(build(kernel=kernel, **options)).double()
    x = torch.randn(2, 90, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    whole = mixer(x)
    (right,) = torch.autograd.grad((whole * weight).sum(), x)
    first, state = mixer.prefill(x[:, :1])
    second, state = mixer.prefill(x[:, 1:76], state)
    outputs = [first, second]
    for t in range(76, 90):
        y, state = mixer.step(x[:, t], state)
        outputs.append(y[:, None])
    parts = torch.cat(outputs, dim=1)
    torch.testing.assert_close(parts, whole)
    (mine,) = torch.autograd.grad((parts * weight).sum(), x)
    torch.testing.assert_close(mine, right)
    carried = sum(tensor.untyped_storage().nbytes() for tensor in state_tensors(state))
    assert carried == 2 * 8 * mixer.state_size(90)


@BOTH
def test_a_first_prefill_is_one_after_the_initial_state(options: dict[str, Any]) -> None:
    mixer = scattered(build(**options))
    x = torch.randn(2, 7, 8)
    assert torch.equal(mixer.prefill(x, mixer.initial_state(2))[0], mixer(x))


@BOTH
def test_no_step_size_makes_a_number_no_number(options: dict[str, Any]) -> None:
    x = torch.randn(1, 70, 8)
    for kernel in ("numba", "chunked", "reference"):
        for bias in (-1e4, -30.0, 30.0, 1e4):
            mixer = build(kernel=kernel, **options)
            with torch.no_grad():
                mixer.dt_bias.fill_(bias)
                mixer.dt_bias[0] = 0.0
            y, state = mixer.prefill(x)
            torch.autograd.backward(y.sum())
            grads = [p.grad for p in mixer.parameters() if p.grad is not None]
            assert len(grads) == len(list(mixer.parameters()))
            for tensor in (y, *state, *grads):
                assert tensor.isfinite().all(), (kernel, bias)


def test_a_state_that_never_forgets_and_never_writes_stays() -> None:
    mixer = build(**SISO)
    with torch.no_grad():
        mixer.dt_bias.fill_(-1e4)
    angle, s, b, x = (torch.randn_like(part) for part in mixer.initial_state(1))
    _, (turned, kept, _, _) = mixer.prefill(torch.randn(1, 70, 8), (angle, s, b, x))
    assert torch.equal(kept, s)
    torch.testing.assert_close(turned, angle.remainder(2 * math.pi))


def test_a_state_is_forgotten_at_the_lowest_rate_at_least() -> None:
    mixer = build(**SISO).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.zero_()
        row = 2 * mixer.inner + 2 * mixer.state + mixer.heads
        mixer.in_proj.weight[row : row + mixer.heads] = -1000.0  # A, whose softplus is 0
        mixer.dt_bias.fill_(100.0)
        angle, s, *last = mixer.initial_state(1)
        ones = torch.ones(1, 8, dtype=torch.float64)
        _, after = mixer.step(ones, (angle, s + 1, last[0], last[1]))
    torch.testing.assert_close(after[1], math.exp(-100 * 1e-4) * (s + 1))


def test_float32_keeps_its_angle_over_a_long_sequence() -> None:
    torch.manual_seed(0)
    angle, dt, start = torch.rand(1, 16_000, 3), torch.rand(1, 16_000, 2), torch.zeros(1, 2, 3)
    exact = turned(angle.double(), dt.double(), start.double())
    mine = turned(angle, dt, start)
    assert mine.dtype == torch.float32
    away = torch.remainder(mine - exact + math.pi, 2 * math.pi) - math.pi
    assert away.abs().max() < 3e-5  # multiples of float32's pi are 3e-4 away


@BOTH
def test_large_padding_and_a_large_future_do_not_reach_the_past(options: dict[str, Any]) -> None:
    mixer = build(**options)  # float32, where a weight that is added and taken away leaves a trace
    x = torch.randn(2, 20, 8)
    other = x.clone()
    other[0, 11:], other[1, 5:] = 1e6, -1e6
    lengths = torch.tensor([11, 5])
    one, two = mixer(x, lengths), mixer(other, lengths)
    assert torch.equal(one[0, :11], two[0, :11])
    assert torch.equal(one[1, :5], two[1, :5])
    assert not torch.equal(one, two)


@BOTH
def test_bfloat16_and_autocast_carry_a_float32_state(options: dict[str, Any]) -> None:
    mixer = build(16, **options)
    x = torch.randn(2, 70, 16)
    right = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = mixer.prefill(x)
        stepped, _ = mixer.step(x[:, 0], mixer.initial_state(2))
    assert {part.dtype for part in state} == {torch.float32}
    assert (y - right).norm() < 0.02 * right.norm()
    assert (stepped - right[:, 0]).norm() < 0.02 * right[:, 0].norm()
    low = mixer.bfloat16()
    y, state = low.prefill(x.bfloat16())
    kinds = [torch.float32, torch.float32, torch.bfloat16, torch.bfloat16]
    assert [part.dtype for part in state] == kinds
    assert [part.dtype for part in low.initial_state(1)] == kinds
    assert (y - right).norm() < 0.02 * right.norm()


@pytest.mark.parametrize("options", [{}, {"rank": 4, "state": 6, "head_dim": 16}])
def test_flops_are_what_the_counter_sees(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        mixer, x = Mamba3(32, **options), torch.empty(3, 100, 32)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    flops = mixer.flops(3, 100)
    assert flops.matmul == counter.get_total_flops()
    assert mixer.flops(6, 100).total == 2 * flops.total
    assert 0.02 * flops.matmul < flops.other < flops.matmul


def test_what_must_not_decay_is_marked() -> None:
    settings = build(**MIMO).parameter_settings()
    assert dict(settings) == {
        name: {"weight_decay": 0.0} for name in ("dt_bias", "D", "B_bias", "C_bias")
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"head_dim": 5}, r"mixer\.head_dim=5 does not divide .* try mixer\.head_dim=4"),
        ({"head_dim": 8, "groups": 4}, r"mixer\.groups=4 does not divide the 2 heads"),
        ({"head_dim": 8, "state": 7}, r"mixer\.state=7: .* even number"),
        ({"head_dim": 8, "state": 2}, r"mixer\.state=2: .* even number from 4"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(zoo.ZooError, match=words):
        Mamba3(8, **options)
