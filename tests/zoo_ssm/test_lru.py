"""The LRU: the paper's recurrence and its unrolled convolution, the ring, decoding, costs."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import zoo
from zoo.testing import conformance
from zoo_ssm.lru import LRU

KERNELS = [kernel.name for kernel in LRU.kernels]


def build(dim: int = 8, seed: int = 0, **options: Any) -> LRU:
    torch.manual_seed(seed)
    return LRU(dim, **options)


@conformance(LRU)
def test_every_promise_is_kept(check: Any) -> None:
    check()


def by_hand(mixer: LRU, x: Tensor) -> np.ndarray[Any, Any]:
    """The paper's recurrence token by token in NumPy, complex128, and its output stage."""
    p = {name: value.detach().double().numpy() for name, value in mixer.named_parameters()}
    eigenvalues = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    b = np.exp(p["gamma_log"])[:, None] * (p["B"][..., 0] + 1j * p["B"][..., 1])
    c = p["C"][..., 0] + 1j * p["C"][..., 1]
    rows = []
    for row in x.double().numpy():
        h, outputs = np.zeros(len(eigenvalues), complex), []
        for token in row:
            h = eigenvalues * h + b @ token
            y = (c @ h).real + p["D"] * token
            y = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
            value, gate = np.split(p["out.weight"] @ y + p["out.bias"], 2)
            outputs.append(value / (1 + np.exp(-gate)))
        rows.append(outputs)
    return np.array(rows)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("batch", "length", "state"), [(1, 1, 1), (2, 37, 5), (1, 64, 16)])
def test_outputs_are_those_of_the_papers_equations(
    kernel: str, batch: int, length: int, state: int
) -> None:
    mixer = build(kernel=kernel, state=state).double()
    x = torch.randn(batch, length, 8, dtype=torch.float64)
    mine = mixer(x)
    assert mixer.kernel_ran == kernel
    np.testing.assert_allclose(mine.detach().numpy(), by_hand(mixer, x), rtol=1e-9, atol=1e-10)


def convolved(mixer: LRU, x: Tensor) -> Tensor:
    """The same as a sum over the whole past with the taps Re(C lambda^i B), differentiable."""
    i = torch.arange(x.shape[1])
    angle = torch.exp(mixer.theta_log)[:, None] * i
    powers = torch.polar(torch.exp(-torch.exp(mixer.nu_log)[:, None] * i), angle)  # (n, l)
    b = torch.view_as_complex(mixer.B) * torch.exp(mixer.gamma_log)[:, None]
    taps = torch.einsum("dn,nl,ne->lde", torch.view_as_complex(mixer.C), powers, b).real
    y = mixer.D * x
    for lag in range(x.shape[1]):
        past = x[:, : x.shape[1] - lag] @ taps[lag].T
        y = y + torch.nn.functional.pad(past, (0, 0, lag, 0))
    value, gate = mixer.out(torch.nn.functional.gelu(y, approximate="tanh")).chunk(2, dim=-1)
    mixed: Tensor = value * torch.sigmoid(gate)
    return mixed


@pytest.mark.parametrize("kernel", KERNELS)
def test_recurrence_and_convolution_agree_in_outputs_and_all_gradients(kernel: str) -> None:
    mixer = build(kernel=kernel, state=6, r_min=0.5).double()
    x = torch.randn(2, 41, 8, dtype=torch.float64, requires_grad=True)
    tensors = [x, *mixer.parameters()]
    weight = torch.randn(2, 41, 8, dtype=torch.float64)
    mine, right = mixer(x), convolved(mixer, x)
    torch.testing.assert_close(mine, right)
    for one, other in zip(
        torch.autograd.grad(mine, tensors, weight),
        torch.autograd.grad(right, tensors, weight),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("r_min", "r_max", "phase"), [(0.0, 1.0, 6.28), (0.9, 0.999, math.pi / 10)]
)
def test_eigenvalues_start_uniform_on_the_ring(r_min: float, r_max: float, phase: float) -> None:
    mixer = build(2, state=20_000, r_min=r_min, r_max=r_max, max_phase=phase).double()
    decay, _ = mixer.dynamics()
    radius, angle = decay.abs(), decay.angle().remainder(2 * math.pi)
    assert radius.min() >= r_min - 1e-6
    assert radius.max() <= r_max + 1e-6
    assert angle.max() <= phase + 1e-5
    middle = math.sqrt((r_min**2 + r_max**2) / 2)  # half of the ring's area lies within
    assert float((radius < middle).double().mean()) == pytest.approx(0.5, abs=0.015)
    assert float(angle.detach().mean()) == pytest.approx(phase / 2, rel=0.02)
    torch.testing.assert_close(mixer.gamma_log.exp() ** 2, 1 - radius**2, rtol=1e-3, atol=1e-6)


def test_noise_gives_states_of_size_one() -> None:
    """What gamma is for (section 3.4): E |h|^2 = E |B x|^2 = 1, however close to the circle."""
    mixer = build(64, state=200, r_min=0.9, r_max=0.99)
    with torch.no_grad():
        sizes = []
        for _ in range(20):
            _, h = mixer.prefill(torch.randn(8, 500, 64))
            sizes.append(h.abs().square().mean())
    assert float(torch.stack(sizes).mean()) == pytest.approx(1, rel=0.1)


def test_it_is_stable_whatever_is_learnt() -> None:
    mixer = build()
    with torch.no_grad():
        mixer.nu_log.copy_(torch.linspace(-8, 8, 64))
        mixer.theta_log.copy_(torch.linspace(-20, 5, 64))
        y, h = mixer.prefill(torch.randn(1, 4000, 8))
    assert y.isfinite().all()
    assert h.isfinite().all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_prefill_in_parts_and_steps_are_one_pass_with_its_gradients(kernel: str) -> None:
    mixer = build(kernel=kernel).double()
    x = torch.randn(2, 30, 8, dtype=torch.float64, requires_grad=True)
    whole = mixer(x)
    (right,) = torch.autograd.grad(whole.square().sum(), x)
    first, state = mixer.prefill(x[:, :2])
    second, state = mixer.prefill(x[:, 2:21], state)
    outputs = [first, second]
    for t in range(21, 30):
        y, state = mixer.step(x[:, t], state)
        outputs.append(y[:, None])
    parts = torch.cat(outputs, dim=1)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), x)[0], right)
    assert 2 * state.numel() == 2 * mixer.state_size(30)


def test_bfloat16_carries_a_single_precision_state() -> None:
    mixer = build(16).bfloat16()
    x = torch.randn(2, 40, 16, dtype=torch.bfloat16)
    y, h = mixer.prefill(x)
    exact = build(16)
    exact.load_state_dict(mixer.state_dict())
    assert y.dtype == torch.bfloat16
    assert h.dtype == mixer.initial_state(1).dtype == torch.complex64
    torch.testing.assert_close(y.float(), exact(x.float()), rtol=0.05, atol=0.02)
    stepped, h = mixer.step(x[:, 0], mixer.initial_state(2))
    assert (stepped.dtype, h.dtype) == (torch.bfloat16, torch.complex64)


def test_autocast_trains_and_decodes_close_to_single_precision() -> None:
    mixer = build(16)
    x = torch.randn(2, 40, 16)
    right = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, h = mixer.prefill(x)
        stepped, _ = mixer.step(x[:, 0], mixer.initial_state(2))
    assert h.dtype == torch.complex64
    torch.testing.assert_close(y, right, rtol=0.05, atol=0.02)
    torch.testing.assert_close(stepped, right[:, 0], rtol=0.05, atol=0.02)
    torch.autograd.backward(y.square().sum())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


def test_dynamics_are_not_rounded_to_single_precision_in_double() -> None:
    mixer = build().double()
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    y = mixer(x)
    with torch.no_grad():
        mixer.theta_log.add_(1e-10)
    assert 0 < (mixer(x) - y).abs().max() < 1e-7


def test_the_dynamics_learn_slower_and_do_not_decay() -> None:
    settings = build().parameter_settings()
    assert settings.keys() == {"nu_log", "theta_log", "gamma_log", "B"}
    assert all(one == {"lr_scale": 0.5, "weight_decay": 0.0} for one in settings.values())


def test_a_ring_inside_out_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"r_min=0.9 is not below r_max=0.5"):
        LRU(8, r_min=0.9, r_max=0.5)
