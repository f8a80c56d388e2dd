"""S5: s5-pytorch, the paper's equations, the convolution it is, HiPPO, both ways, decoding."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import s5
import torch
from torch import Tensor

import zoo
from zoo.testing import conformance
from zoo_ssm.hippo import normal_part
from zoo_ssm.s5 import S5

KERNELS = [kernel.name for kernel in S5.kernels]


def build(dim: int = 8, **options: Any) -> S5:
    torch.manual_seed(0)
    return S5(dim, **options)


@conformance(S5)
def test_every_promise_is_kept(check: Any) -> None:
    check()


@conformance(S5, discretization="bilinear", clip=True, blocks=1, state=6)
def test_every_promise_is_kept_with_the_other_options(check: Any) -> None:
    check()


def finish(mixer: S5, y: Tensor) -> Tensor:
    """The authors' "half_glu1" from what the state space model gives."""
    z = torch.nn.functional.gelu(y, approximate="tanh")
    return z * torch.sigmoid(z @ mixer.gate.weight.T + mixer.gate.bias)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 37)])
def test_outputs_and_gradients_equal_s5_pytorch(
    discretization: str, causal: bool, kernel: str, batch: int, length: int
) -> None:
    """Theirs implies no conjugates: its C is twice ours."""
    options: Any = {"discretization": discretization, "kernel": kernel}
    mixer = build(8, causal=causal, state=12, blocks=2, **options)
    theirs = s5.S5(8, 6, bidir=not causal, bcInit="dense").seq
    theirs.discretize = getattr(s5.s5_model, f"discretize_{discretization}")
    with torch.no_grad():
        theirs.Lambda.copy_(torch.complex(mixer.Lambda_re, mixer.Lambda_im))
        theirs.B.copy_(mixer.B)
        theirs.C.copy_(2 * torch.view_as_complex(mixer.C))
        theirs.D.copy_(mixer.D)
        theirs.log_step.copy_(mixer.log_step)
    x, weight = torch.randn(batch, length, 8), torch.randn(batch, length, 8)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    mine = mixer(one)
    right = finish(mixer, torch.stack([theirs(row) for row in other]))
    torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)
    ours = [one, mixer.Lambda_re, mixer.Lambda_im, mixer.B, mixer.C, mixer.D, mixer.log_step]
    mine_grads = torch.autograd.grad(mine, ours, weight)
    named = [other, theirs.Lambda, theirs.B, theirs.C, theirs.D, theirs.log_step]
    dx, d_values, db, dc, dd, d_step = torch.autograd.grad(right, named, weight)
    right_grads = (dx, d_values.real, d_values.imag, db, 2 * torch.view_as_real(dc), dd, d_step)
    for mine_grad, right_grad in zip(mine_grads, right_grads, strict=True):
        scale = float(right_grad.abs().max())
        torch.testing.assert_close(mine_grad, right_grad, rtol=1e-3, atol=1e-4 * scale)


def by_hand(mixer: S5, x: Tensor) -> np.ndarray[Any, Any]:
    """A dense real system of all the numbers of state, solved token by token in float64.

    In conjugate pairs: A = [[re, -im], [im, re]], discretised by the matrix exponential's series
    or by (I - dt A / 2)^-1 (I + dt A / 2), neither of which knows of eigenvalues.
    """
    p = {name: value.detach().double().numpy() for name, value in mixer.named_parameters()}
    n = mixer.pairs
    dt = np.diag(np.tile(np.exp(p["log_step"]), 2))
    re, im = np.diag(p["Lambda_re"]), np.diag(p["Lambda_im"])
    a = np.block([[re, -im], [im, re]])
    b = np.concatenate([p["B"][..., 0], p["B"][..., 1]])
    identity = np.eye(2 * n)
    if mixer.discretization == "bilinear":
        left = np.linalg.inv(identity - dt @ a / 2)
        a_bar, b_bar = left @ (identity + dt @ a / 2), left @ dt @ b
    else:  # exp of [[A, B], [0, 0]] dt, by its series after halving 20 times
        both = np.block([[dt @ a, dt @ b], [np.zeros((mixer.dim, 2 * n + mixer.dim))]]) / 2**20
        power = total = np.eye(len(both))
        for k in range(1, 6):
            power = power @ both / k
            total = total + power
        for _ in range(20):
            total = total @ total
        a_bar, b_bar = total[: 2 * n, : 2 * n], total[: 2 * n, 2 * n :]
    c = np.concatenate([p["C"][:, :n, 0], -p["C"][:, :n, 1]], axis=1)
    later = np.concatenate([p["C"][:, n:, 0], -p["C"][:, n:, 1]], axis=1)
    rows = []
    for row in x.double().numpy():
        y = row * p["D"]
        for matrix, order in ((c, range(len(row))), (later, reversed(range(len(row))))):
            if matrix.shape[1]:
                h = np.zeros(2 * n)
                for t in order:
                    h = a_bar @ h + b_bar @ row[t]
                    y[t] += 2 * matrix @ h
        z = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        rows.append(z / (1 + np.exp(-(z @ p["gate.weight"].T + p["gate.bias"]))))
    return np.array(rows)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_outputs_are_those_of_the_dense_system(
    discretization: Any, causal: bool, kernel: Any
) -> None:
    mixer = build(4, causal=causal, state=8, blocks=1, discretization=discretization, kernel=kernel)
    x = torch.randn(2, 23, 4, dtype=torch.float64)
    mine = mixer.double()(x)
    np.testing.assert_allclose(mine.detach().numpy(), by_hand(mixer, x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_recurrence_and_convolution_agree_in_outputs_and_all_gradients(
    causal: bool, kernel: Any
) -> None:
    """With the taps 2 Re(C exp(i Lambda dt) B), the token's own in both ways."""
    mixer = build(5, causal=causal, state=8, blocks=2, kernel=kernel).double()
    x = torch.randn(2, 41, 5, dtype=torch.float64, requires_grad=True)
    values = torch.complex(mixer.Lambda_re, mixer.Lambda_im)
    exponent = values * mixer.log_step.exp()
    powers = torch.exp(exponent[:, None] * torch.arange(41))
    b = torch.view_as_complex(mixer.B) * ((exponent.exp() - 1) / values)[:, None]
    y = mixer.D * x
    for way, c in enumerate(torch.split(torch.view_as_complex(mixer.C), 4, dim=1)):
        taps = 2 * torch.einsum("dn,nl,ne->lde", c, powers, b).real
        for lag in range(41):
            seen = x[:, lag:] if way else x[:, : 41 - lag]
            pad = (0, 0, 0, lag) if way else (0, 0, lag, 0)
            y = y + torch.nn.functional.pad(seen @ taps[lag].T, pad)
    tensors, weight = [x, *mixer.parameters()], torch.randn(2, 41, 5, dtype=torch.float64)
    mine, right = mixer(x), finish(mixer, y)
    torch.testing.assert_close(mine, right)
    for one, other in zip(
        torch.autograd.grad(mine, tensors, weight),
        torch.autograd.grad(right, tensors, weight),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("state", "blocks"), [(8, 1), (16, 4)])
def test_eigenvalues_start_as_those_of_the_normal_part_of_legs(state: int, blocks: int) -> None:
    size = state // blocks
    normal = np.zeros((size, size))
    for i, j in product(range(size), repeat=2):  # -1/2 I and a skew part of half LegS's entries
        root = math.sqrt((2 * i + 1) * (2 * j + 1)) / 2
        normal[i, j] = -0.5 if i == j else root if i < j else -root
    exact = np.linalg.eigvals(normal)
    mixer = build(3, state=state, blocks=blocks)
    mine = torch.complex(mixer.Lambda_re, mixer.Lambda_im).detach().numpy().reshape(blocks, -1)
    for block in mine:
        both = np.concatenate([block, block.conj()])
        np.testing.assert_allclose(np.sort(both.imag), np.sort(exact.imag), rtol=1e-4)
        np.testing.assert_allclose(both.real, -0.5, rtol=1e-4)


def test_b_and_c_start_real_in_hippos_own_basis_with_the_authors_spread() -> None:
    """B = V^* b for a real b: then |B|^2 over pairs is half of |b|^2, of variance 1 / n each."""
    mixer = build(400, state=32, blocks=2)
    _, v = normal_part(16)
    b = 2 * (v @ torch.view_as_complex(mixer.B.detach()).numpy().reshape(2, 8, 400)).real
    bound = 2 / math.sqrt(32) / 0.8796  # draws are cut at two; rotated they would reach further
    assert 0.98 * bound < np.abs(b).max() < 1.001 * bound
    sizes = mixer.B.detach().square().sum((0, 2))  # by input channel: half of chi^2 / n
    assert float(sizes.mean()) == pytest.approx(0.5, rel=0.03)
    sizes = mixer.C.detach().square().sum((1, 2))  # re and im each of variance 1 / n
    assert float(sizes.mean()) == pytest.approx(1.0, rel=0.03)
    steps = build(2, state=20_000, blocks=2500).log_step.detach().exp()
    assert float(steps.min()) + 1e-9 >= 1e-3
    assert float(steps.max()) <= 0.1 + 1e-9
    assert float(steps.log().mean()) == pytest.approx(math.log(1e-2), abs=0.05)


def test_clipped_eigenvalues_cannot_grow() -> None:
    mixer = build(clip=True)
    with torch.no_grad():
        mixer.Lambda_re.fill_(3.0)
    decay, _ = mixer.dynamics()
    assert (decay.abs() < 1).all()
    decay, _ = build().dynamics()
    assert (decay.abs() < 1).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_prefill_in_parts_and_steps_are_one_pass_with_its_gradients(kernel: Any) -> None:
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


@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_of_nan_does_not_reach_the_tokens_from_the_right(kernel: Any) -> None:
    mixer = build(causal=False, kernel=kernel)
    x, lengths = torch.randn(2, 20, 8), torch.tensor([11, 20])
    clean = mixer(x[:1, :11])
    x[0, 11:] = math.nan
    torch.testing.assert_close(mixer(x, lengths)[:1, :11], clean)


def test_bfloat16_and_autocast_carry_a_single_precision_state() -> None:
    exact, narrow = build(16), build(16).bfloat16()
    x = torch.randn(2, 40, 16)
    with torch.autocast("cpu", torch.bfloat16):
        y, h = exact.prefill(x)
    torch.testing.assert_close(y, exact(x), rtol=0.05, atol=0.02)
    assert h.dtype == torch.complex64
    torch.autograd.backward(y.square().sum())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in exact.parameters())
    y, h = narrow.prefill(x.bfloat16())
    assert (y.dtype, h.dtype) == (torch.bfloat16, torch.complex64)
    exact.load_state_dict(narrow.state_dict())
    torch.testing.assert_close(y.float(), exact(x.bfloat16().float()), rtol=0.05, atol=0.02)


def test_dynamics_have_their_own_learning_rate_and_no_decay() -> None:
    settings = build().parameter_settings()
    assert settings.keys() == {"Lambda_re", "Lambda_im", "B", "log_step"}
    assert all(s == {"lr": 1e-3, "weight_decay": 0.0} for s in settings.values())


@pytest.mark.parametrize(("state", "blocks", "near"), [(12, 4, 16), (7, 1, 8), (2, 8, 16)])
def test_a_state_that_blocks_do_not_divide_is_refused(state: int, blocks: int, near: int) -> None:
    with pytest.raises(zoo.ZooError, match=rf"mixer\.state={state}: .* try mixer\.state={near}"):
        S5(8, state=state, blocks=blocks)


def test_a_bidirectional_one_does_not_decode() -> None:
    mixer = build(causal=False)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.initial_state(1)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.step(torch.randn(1, 8), torch.zeros(1, 32, dtype=torch.complex64))
