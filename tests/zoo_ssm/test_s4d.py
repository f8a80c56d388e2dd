"""S4D against the recurrence of its equations, closed forms and its authors' numbers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.testing import conformance
from zoo_ssm.diagonal_ssm import hold
from zoo_ssm.s4d import S4D
from zoo_ssm.vandermonde import powers, split, vandermonde

VARIANTS = [
    {"init": "lin"},
    {"init": "lin", "disc": "bilinear"},
    {"init": "inv"},
    {"init": "legs", "disc": "bilinear"},
    {"init": "real"},
    {"init": "real", "disc": "bilinear"},
]
AUTHORS = {  # both ways of both channels; see test_taps_are_the_authors
    "zoh": [
        [-0.0080770839, -0.0137204610, -0.0177143439, -0.0200689413],
        [-0.0208323917, -0.0200880069, -0.0179508427, -0.0145636958],
        [0.0843504926, 0.1066345558, -0.1943904740, -0.5164011038],
        [-0.4338167027, -0.1079722998, 0.0854989905, 0.1253654815],
        [0.0062865445, 0.0000609364, -0.0048561926, -0.0085299516],
        [-0.0110475784, -0.0125154039, -0.0130555292, -0.0128022985],
        [-0.0411089158, -0.3909427289, -0.7202240659, -0.7431348845],
        [-0.4025535339, 0.0154896296, 0.2782536484, 0.3957821361],
    ],
    "bilinear": [
        [-0.0079405200, -0.0135822789, -0.0175842797, -0.0199559416],
        [-0.0207443132, -0.0200313654, -0.0179306157, -0.0145831850],
        [0.0728691635, 0.0675727195, -0.1082319773, -0.4080693167],
        [-0.5063147226, -0.2712043220, 0.0684858763, 0.2348861348],
        [0.0063974892, 0.0001630762, -0.0047687264, -0.0084620784],
        [-0.0110031311, -0.0124970338, -0.0130646532, -0.0128390903],
        [-0.0437721350, -0.3692350077, -0.6484630791, -0.7331604555],
        [-0.5071560724, -0.0838801233, 0.2820438102, 0.4364975344],
    ],
}


def build(dim: int = 4, **options: Any) -> S4D:
    torch.manual_seed(0)
    return S4D(dim, **{"state": 6, **options})


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def waves(like: Tensor, phase: float) -> Tensor:
    """Numbers of either sign that anybody can write down."""
    count = torch.arange(1, like.numel() + 1, dtype=torch.float64)
    return torch.sin(0.7 * count + phase).view(like.shape)


def sequential(mixer: S4D, u: Tensor, way: int = 0) -> Tensor:
    """x_t = A x_{t-1} + B u_t, y_t = C x_t over all conjugates, discretised as in section 3.1."""
    s: Any = mixer.system
    dt = s.log_dt.exp()[:, None]
    if s.paired:
        a, b, c = (
            torch.cat([x, x.conj()], -1)
            for x in (
                torch.complex(-s.A_log.exp(), s.A_imag),
                torch.view_as_complex(s.B),
                torch.view_as_complex(s.C[way]),
            )
        )
    else:
        a, b, c = -s.A_log.exp(), s.B, s.C[way]
    if s.disc == "zoh":
        step, drive = torch.exp(dt * a), (torch.exp(dt * a) - 1) / a * b
    else:
        step, drive = (1 + dt / 2 * a) / (1 - dt / 2 * a), dt * b / (1 - dt / 2 * a)
    x, outputs = torch.zeros(len(u), *a.shape, dtype=a.dtype), []
    for token in u.unbind(1):
        x = step * x + drive * token[..., None]
        outputs.append((c * x).sum(-1))
    y = torch.stack(outputs, 1)
    return y.real if s.paired else y


@conformance(S4D, init="legs", disc="bilinear")
def test_legs_keeps_every_promise(check: Callable[[], None]) -> None:
    check()


@conformance(S4D, init="real", state=7, disc="bilinear")
def test_real_keeps_every_promise(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("kernel", ["convolution", "reference"])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 13), (3, 70)])
def test_it_is_the_papers_recurrence(
    kernel: str, options: dict[str, Any], batch: int, length: int
) -> None:
    mixer = build(kernel=kernel, **options).double()
    u = draw(batch, length, 4).requires_grad_()
    mine, right = mixer.pick(u).run(mixer.system, u), sequential(mixer, u)
    torch.testing.assert_close(mine, right)
    wanted, weight = [u, *mixer.system.parameters()], draw(batch, length, 4, seed=2)
    found = torch.autograd.grad(mine, wanted, weight)
    truth = torch.autograd.grad(right, wanted, weight)
    torch.testing.assert_close(found, truth, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("init", ["inv", "real"])
def test_looking_back_a_second_filter_starts_at_the_next_token(init: str) -> None:
    mixer, u = build(causal=False, init=init).double(), draw(2, 11, 4)
    right = sequential(mixer, u)
    right[:, :-1] += sequential(mixer, u.flip(1), way=1).flip(1)[:, 1:]
    for kernel in mixer.kernels:
        torch.testing.assert_close(kernel.run(mixer.system, u), right)


@pytest.mark.parametrize("disc", ["zoh", "bilinear"])
def test_taps_are_the_authors(disc: str) -> None:
    """Numbers from github.com/state-spaces/s4, models/s4/s4.py (SSMKernelDiag, no extension).

    Run in float64 with these very parameters. Its A_imag counts the other way round.
    """
    mixer = build(2, state=4, disc=disc, causal=False).double()
    s: Any = mixer.system
    with torch.no_grad():
        s.log_dt.copy_(torch.tensor([0.05, 0.3], dtype=torch.float64).log())
        s.A_log.copy_(torch.tensor([[0.5, 0.4], [0.3, 0.6]], dtype=torch.float64).log())
        s.A_imag.copy_(torch.tensor([[1.0, 3.0], [2.0, 5.0]]))
        s.B.copy_(waves(s.B, 1.0))
        s.C.copy_(waves(s.C, 2.0))
    wanted = torch.tensor(AUTHORS[disc], dtype=torch.float64).view(2, 2, 8)
    torch.testing.assert_close(s.taps(8), wanted, rtol=0, atol=1e-10)


def test_one_real_state_is_an_exponential_average() -> None:
    """A = -1, held: y_t = sum_i exp(-i dt) (1 - exp(-dt)) C u_{t-i}."""
    mixer = build(1, init="real", state=1).double()
    s: Any = mixer.system
    decay = torch.exp(-s.log_dt.exp()) ** torch.arange(20)
    wanted = decay * (1 - decay[1]) * s.C.item()
    torch.testing.assert_close(s.taps(20)[0, 0], wanted)


@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 100, 1000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_vandermonde_is_a_sum_of_powers(length: int, dtype: torch.dtype) -> None:
    v, a = draw(2, 3, 4, dtype=dtype), draw(3, 4, seed=2, dtype=dtype) / 3
    a = a / a.abs().clamp_min(1)
    a[0, 0] = 0  # whose power 0 is 1
    v.requires_grad_(), a.requires_grad_()
    mine = vandermonde(v, a, length, torch.float64)
    right = sum(
        (v * a**i).sum(-1).real[..., None] * (torch.arange(length) == i) for i in range(length)
    )
    torch.testing.assert_close(mine, right)
    weight = draw(2, 3, length)
    found, truth = (
        torch.autograd.grad((y * weight).sum(), (v, a), materialize_grads=True)
        for y in (mine, right)
    )
    torch.testing.assert_close(found, truth)


def test_vandermonde_needs_tables_of_root_length() -> None:
    for length in range(1, 5000):
        inner, outer = split(length)
        assert length <= inner * outer < length + inner
        assert inner + outer <= 2.2 * math.sqrt(length) + 2
    assert powers(torch.tensor([0.5]), 1).tolist() == [[1.0]]


def test_phases_hold_over_very_many_turns() -> None:
    """16,384 steps of an undamped mode in float32: still the cosine."""
    mixer = build(1, state=2, dt_min=0.1, dt_max=0.1)
    s: Any = mixer.system
    with torch.no_grad():
        s.A_log.fill_(-40.0)
        s.A_imag.fill_(20.0)
        s.C.copy_(torch.tensor([1.0, 0.0]))
    taps = s.taps(16384)[0, 0].double()
    angle = s.log_dt.double().exp() * 20.0
    held = 2 * (torch.polar(torch.ones(1), angle.float()).to(torch.complex128) - 1) / 20j
    wanted = (held * torch.exp(1j * angle * torch.arange(16384))).real
    assert (taps - wanted).abs().max() < 1e-6 * wanted.abs().max()


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("log_dt", [-700.0, -30.0, 0.0, 10.0, 80.0])
def test_extreme_steps_stay_finite(options: dict[str, Any], log_dt: float) -> None:
    mixer = build(**options)
    torch.nn.init.constant_(mixer.system.log_dt, log_dt)  # type: ignore[arg-type]
    x = draw(1, 20, 4, dtype=torch.float32).requires_grad_()
    y = mixer(x)
    grads = torch.autograd.grad(y.sum(), [x, *mixer.parameters()])
    assert all(each.isfinite().all() for each in (y, *grads))
    if log_dt <= -30:  # no time passes: only the skip is left
        skip = torch.nn.functional.gelu(mixer.D * x)
        right = torch.nn.functional.glu(mixer.output_linear(skip), dim=-1)
        torch.testing.assert_close(y, right)


def test_dynamics_start_as_in_the_paper() -> None:
    mixer = build(512, state=8, dt_min=0.01, dt_max=0.2)
    s: Any = mixer.system
    torch.testing.assert_close(s.A_log.exp(), torch.full((512, 4), 0.5))
    torch.testing.assert_close(s.A_imag, math.pi * torch.arange(4.0).expand(512, 4))
    assert torch.equal(torch.view_as_complex(s.B), torch.ones(512, 4, dtype=torch.complex64))
    assert 0.9 < s.C.square().sum(-1).mean() < 1.1, "a complex normal of variance 1"
    dt = s.log_dt.exp()
    assert 0.01 <= dt.min() + 1e-6 < 0.0103
    assert 0.194 < dt.max() <= 0.2 + 1e-6
    middle = math.sqrt(0.01 * 0.2)
    assert middle / 1.3 < dt.median() < middle * 1.3


def test_wrong_options_say_what_to_type() -> None:
    with pytest.raises(zoo.ZooError, match=r"mixer\.state=5: .* try mixer\.state=6"):
        S4D(4, state=5)
    with pytest.raises(zoo.ZooError, match=r"mixer\.dt_min=1\.0 exceeds .* try mixer\.dt_max=1\.0"):
        S4D(4, dt_min=1.0)


def test_the_hold_of_a_small_step_is_its_series() -> None:
    """1 + z / 2! + z^2 / 3! .., where exp(z) - 1 would cancel."""
    z = torch.polar(torch.logspace(-15, 0, 2001, dtype=torch.float64), torch.tensor(2.0).double())
    term, series = torch.ones_like(z), torch.zeros_like(z)
    for n in range(2, 30):
        series, term = series + term, term * z / n
    assert float((hold(z, z.exp()) / series - 1).abs().max()) < 2e-12
    assert hold(z.new_zeros(1), z.new_ones(1)).item() == 1
