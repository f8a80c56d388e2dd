"""S4 against the dense recurrence of its equations, its authors' numbers, and its kernels."""

from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm.cauchy import pole_sums, real_parts
from zoo_ssm.s4 import S4

AUTHORS = [  # both ways of both channels; see test_taps_are_the_authors
    [-0.0090813799, -0.0176315775, -0.0257106132, -0.0331564973],
    [-0.0398412144, -0.0456680351, -0.0505689290, -0.0545020434],
    [-0.0238570461, -0.1739087862, -0.2463465813, -0.1991371523],
    [-0.0816681612, 0.0227929123, 0.0696774187, 0.0657009703],
    [0.0052880115, -0.0033442818, -0.0109870733, -0.0176117028],
    [-0.0232058822, -0.0277728673, -0.0313304240, -0.0339096258],
    [-0.0451769166, -0.2840261260, -0.3376318398, -0.2435957630],
    [-0.0945222020, 0.0254671710, 0.0811139670, 0.0813119371],
]


def build(dim: int = 4, **options: Any) -> S4:
    torch.manual_seed(0)
    return S4(dim, **{"state": 6, **options})


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def waves(like: Tensor, phase: float) -> Tensor:
    """Numbers of either sign that anybody can write down."""
    count = torch.arange(1, like.numel() + 1, dtype=torch.float64)
    return torch.sin(0.7 * count + phase).view(like.shape)


def dense(mixer: S4, u: Tensor, way: int = 0) -> Tensor:
    """x_t = A x_{t-1} + B u_t, y_t = C x_t with full matrices, bilinear, from the S4 paper.

    A = diag(Lambda) - P P^*; its discrete form is (I - dt/2 A)^-1 (I + dt/2 A) (equation 3).
    """
    s = mixer.system

    def whole(parts: Tensor) -> Tensor:
        half = torch.view_as_complex(parts)
        return torch.cat([half, half.conj()], -1)

    a = whole(torch.stack([-s.A_log.exp(), s.A_imag], -1))
    p, b, c = whole(s.P), whole(s.B), whole(s.C[way])
    full = torch.diag_embed(a) - p[..., None] * p.conj()[..., None, :]
    half = s.log_dt.exp()[:, None, None] / 2 * full
    eye = torch.eye(full.shape[-1], dtype=full.dtype)
    step = torch.linalg.solve(eye - half, eye + half)
    drive = torch.linalg.solve(eye - half, s.log_dt.exp()[:, None] * b)
    x, outputs = torch.zeros(len(u), *b.shape, dtype=full.dtype), []
    for token in u.unbind(1):
        x = torch.einsum("dij,bdj->bdi", step, x) + drive * token[..., None]
        outputs.append((c * x).sum(-1))
    y = torch.stack(outputs, 1)
    assert y.imag.abs().max() < 1e-12
    return y.real


@pytest.mark.parametrize("kernel", ["numba", "convolution", "reference"])
@pytest.mark.parametrize(("batch", "length", "state"), [(1, 1, 2), (1, 13, 6), (3, 70, 16)])
def test_it_is_the_papers_recurrence(kernel: str, batch: int, length: int, state: int) -> None:
    mixer = build(kernel=kernel, state=state).double()
    u = draw(batch, length, 4).requires_grad_()
    mine, right = mixer.pick(u).run(mixer.system, u), dense(mixer, u)
    torch.testing.assert_close(mine, right, rtol=1e-8, atol=1e-9)
    wanted, weight = [u, *mixer.system.parameters()], draw(batch, length, 4, seed=2)
    found = torch.autograd.grad(mine, wanted, weight)
    truth = torch.autograd.grad(right, wanted, weight)
    torch.testing.assert_close(found, truth, rtol=1e-7, atol=1e-8)


def test_the_layer_is_the_authors() -> None:
    """GLU(W gelu(SSM(x) + D x) + bias) with the exact gelu."""
    mixer, x = build().double(), draw(2, 9, 4)
    inner = dense(mixer, x) + mixer.D * x
    gelu = 0.5 * inner * (1 + torch.erf(inner / 2**0.5))
    value, gate = (gelu @ mixer.output_linear.weight.T + mixer.output_linear.bias).chunk(2, -1)
    torch.testing.assert_close(mixer(x), value * torch.sigmoid(gate), rtol=1e-7, atol=1e-8)


def test_looking_back_a_second_filter_starts_at_the_next_token() -> None:
    mixer, u = build(causal=False).double(), draw(2, 11, 4)
    backwards = dense(mixer, u.flip(1), way=1).flip(1)
    right = dense(mixer, u)
    right[:, :-1] += backwards[:, 1:]
    for kernel in mixer.kernels:
        torch.testing.assert_close(kernel.run(mixer.system, u), right, rtol=1e-7, atol=1e-8)


def test_taps_are_the_authors() -> None:
    """Numbers from github.com/state-spaces/s4, models/s4/s4.py (SSMKernelDPLR, no extension).

    Run in float64 with these very parameters, its C first brought to the length of 8 by its own
    _setup_C. Its A_imag counts the other way round.
    """
    mixer = build(2, state=4, causal=False).double()
    s = mixer.system
    with torch.no_grad():
        s.log_dt.copy_(torch.tensor([0.05, 0.3], dtype=torch.float64).log())
        s.A_log.copy_(torch.tensor([[0.5, 0.4], [0.3, 0.6]], dtype=torch.float64).log())
        s.A_imag.copy_(torch.tensor([[1.0, 3.0], [2.0, 5.0]]))
        s.B.copy_(waves(s.B, 1.0))
        s.C.copy_(waves(s.C, 2.0))
        s.P.copy_(waves(s.P, 3.0))
    wanted = torch.tensor(AUTHORS, dtype=torch.float64).view(2, 2, 8)
    torch.testing.assert_close(s.taps(8), wanted, rtol=0, atol=2e-10)
    torch.testing.assert_close(s.taps(5), wanted[..., :5], rtol=0, atol=2e-10)


@pytest.mark.parametrize("dt", [1e-12, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_taps_hold_over_all_steps_and_lengths(dt: float, dtype: torch.dtype) -> None:
    mixer = build(2, state=64).to(dtype)
    torch.nn.init.constant_(mixer.system.log_dt, torch.tensor(dt).log().item())
    taps = mixer.system.taps(1000)
    exact = build(2, state=64).double()
    exact.load_state_dict(mixer.state_dict())
    fine = exact.system.blocks(1024).taps[:, :1000]  # by powers of the dense matrix
    scale = fine.abs().max()
    assert ((taps[0] - fine).abs().max() / scale) < (1e-6 if dtype == torch.float32 else 2e-9)
    grads = torch.autograd.grad(taps.square().sum() / scale, list(mixer.system.parameters()))
    assert all(grad.isfinite().all() for grad in grads)


def test_it_starts_as_hippo() -> None:
    """In the basis of the start, C (s - A)^-1 B is that of LegS for the same C: here C = B^*."""
    from zoo_ssm.hippo import legs

    s = build(1, state=8).double().system
    a, b = (torch.from_numpy(each).to(torch.complex128) for each in legs(8))
    values = torch.complex(-s.A_log.exp(), s.A_imag)[0]
    values = torch.cat([values, values.conj()])
    p, drive = (torch.view_as_complex(x[0]) for x in (s.P, s.B))
    p, drive = torch.cat([p, p.conj()]), torch.cat([drive, drive.conj()])
    full = torch.diag(values) - torch.outer(p, p.conj())
    at = 2.0j * torch.eye(8, dtype=torch.complex128)
    right = b @ torch.linalg.solve(at - a, b)
    mine = drive.conj() @ torch.linalg.solve(at - full, drive)
    torch.testing.assert_close(mine, right, rtol=1e-6, atol=0)  # float32 parameters


SUMS = [
    pytest.param(pole_sums, id="torch"),
    pytest.param(lambda *x: import_module("zoo_ssm.cauchy_numba").pole_sums(*x), id="numba"),
]


def poles(channels: int, sums: int, count: int, points: int) -> list[Tensor]:
    """Weights, poles left of the axis, points right of it."""
    weight = torch.view_as_complex(draw(channels, sums, count, 2))
    pole = torch.complex(-draw(channels, count, seed=2).exp(), 3 * draw(channels, count, seed=3))
    at = torch.complex(draw(points, seed=4).exp() / 10, 3 * draw(points, seed=5))
    return [weight.requires_grad_(), pole.requires_grad_(), at]


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize(
    ("channels", "points"), [(1, 1), (3, 64), (2, 129)], ids=["one", "a-block", "more"]
)
def test_pole_sums_are_sums(sums: Any, channels: int, points: int) -> None:
    weight, pole, at = poles(channels, 3, 5, points)
    mine = sums(weight, pole, at)
    terms = weight[..., None] / (at - pole[:, None, :, None])
    mirrored = weight.conj()[..., None] / (at - pole.conj()[:, None, :, None])
    right = (terms + mirrored).sum(2)
    torch.testing.assert_close(mine, right)
    gradient = torch.randn_like(right)
    found = torch.autograd.grad(mine, (weight, pole), gradient)
    torch.testing.assert_close(found, torch.autograd.grad(right, (weight, pole), gradient))


@pytest.mark.parametrize("sums", SUMS)
def test_pole_sums_pass_gradcheck(sums: Any) -> None:
    weight, pole, at = poles(2, 2, 2, 3)
    assert gradcheck(lambda w, mu: sums(w, mu, at), (weight, pole))


def test_blocks_of_pole_sums_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, pole, at = poles(5, 2, 3, 37)
    whole = pole_sums(weight, pole, at)
    grads = torch.autograd.grad(whole.abs().sum(), (weight, pole))
    module = import_module("zoo_ssm.cauchy")
    monkeypatch.setattr(module, "POINTS", 10)
    monkeypatch.setattr(module, "CACHED", 60)  # two channels at ten points
    parts = pole_sums(weight, pole, at)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.abs().sum(), (weight, pole)), grads)


def test_the_compiled_sums_are_an_operator() -> None:
    module = import_module("zoo_ssm.cauchy_numba")
    parts = [part.detach().clone() for part in real_parts(*poles(2, 2, 3, 70))]
    inputs = tuple(part.requires_grad_(at < 3) for at, part in enumerate(parts))
    torch.library.opcheck(module.sums, inputs)
    compiled = torch.compile(lambda *x: module.sums(*x), backend="aot_eager", fullgraph=True)
    both = [sums(*inputs) for sums in (compiled, module.sums)]
    torch.testing.assert_close(*both)
    torch.testing.assert_close(
        *(torch.autograd.grad(re.sum() + im.square().sum(), inputs[:3]) for re, im in both)
    )


def test_the_counter_sees_what_the_compiled_sums_execute() -> None:
    """By hand. A quotient: x 1, re 5, im 2, its square 3, inverse 1, both parts 2."""
    module = import_module("zoo_ssm.cauchy_numba")
    channels, sums, count, points = 2, 3, 5, 70
    weight, pole, at = poles(channels, sums, count, points)
    with FlopCounterMode(display=False) as forward:
        y = module.pole_sums(weight, pole, at)
    each, weights = channels * points, 2 * sums
    assert forward.get_total_flops() == each * (count * (14 + 4 * weights) + 8 * sums)
    with FlopCounterMode(display=False) as backward:
        torch.autograd.grad(y.real.sum() + y.imag.sum(), (weight, pole))
    # for a pole: the square 5, the denominator's gradient 6, its share in both parts 6
    assert backward.get_total_flops() == each * (count * (31 + 8 * weights) + 6 * sums)


def test_threads_do_not_change_the_compiled_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.ops.fused, "LITTLE", 0)
    module = import_module("zoo_ssm.cauchy_numba")
    weight, pole, at = poles(9, 2, 3, 130)
    threads, found = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        y = module.pole_sums(weight, pole, at)
        found.append([y, *torch.autograd.grad(y.real.sum(), (weight, pole))])
    torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
