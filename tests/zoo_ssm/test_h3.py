"""H3 against its two recurrences written out, and its authors' numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.testing import conformance
from zoo_ssm.h3 import H3

AUTHORS = [  # see test_outputs_are_the_authors
    [3.8749551444, -3.2381365958, 0.4671459291, -0.8729646907],
    [8.9797193698, -9.7037973185, 7.5465616640, -7.7480712966],
    [-2.7602353283, 0.3473402984, 0.3457035384, -4.2295901177],
    [13.2987936987, -15.4951079443, 14.1408918321, -14.3834110830],
    [0.5906854156, -2.3739334837, 2.1228726996, -4.8572933093],
    [4.6021177647, -5.1686898835, 3.3780041838, -4.4277627592],
]


def build(dim: int = 8, **options: Any) -> H3:
    torch.manual_seed(0)
    return H3(dim, **{"state": 6, **options})


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def waves(like: Tensor, phase: float) -> Tensor:
    """Numbers of either sign that anybody can write down."""
    count = torch.arange(1, like.numel() + 1, dtype=torch.float64)
    return torch.sin(0.7 * count + phase).view(like.shape)


def sequential(mixer: H3, x: Tensor) -> Tensor:
    """Both recurrences with dense matrices, a head and a pair of its channels at a time."""
    s: Any = mixer.system
    e, n, half = mixer.head_dim, mixer.state, s.log_dt.exp()[:, None] / 2
    down = torch.diag(torch.ones(n - 1, dtype=x.dtype), -1)  # moves every number one on
    a = torch.complex(-s.A_log.exp(), s.A_imag)
    b, c = torch.view_as_complex(s.B), torch.view_as_complex(s.C[0])
    step, drive = (1 + half * a) / (1 - half * a), 2 * half * b / (1 - half * a)
    rows = []
    for row in x:
        memory = torch.zeros(mixer.dim, n, dtype=x.dtype)
        h = torch.zeros(mixer.heads, e, e, a.shape[1], dtype=a.dtype)
        outputs = []
        for token in row:
            q, k, v = (p(token) for p in (mixer.q_proj, mixer.k_proj, mixer.v_proj))
            memory = memory @ down.T
            memory = torch.cat([k[:, None], memory[:, 1:]], 1)  # the first row of A is empty
            k = (memory * mixer.shift).sum(-1) + mixer.shift_D * k
            kv = k.view(-1, e, 1) * v.view(-1, 1, e)  # (heads, e, e)
            h = step[:, None, None] * h + drive[:, None, None] * kv[..., None]
            y = 2 * (c[:, None, None] * h).sum(-1).real + mixer.D[:, None, None] * kv
            read = torch.einsum("hi,hij->jh", q.view(-1, e), y).flatten()
            outputs.append(mixer.output_linear(read))
        rows.append(torch.stack(outputs))
    return torch.stack(rows)


@conformance(H3, state=2, head_dim=4)
def test_wide_heads_keep_every_promise(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("kernel", ["convolution", "reference"])
@pytest.mark.parametrize("options", [{}, {"head_dim": 4}, {"state": 2, "head_dim": 2}])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 13)])
def test_it_is_the_papers_recurrences(
    kernel: str, options: dict[str, Any], batch: int, length: int
) -> None:
    mixer = build(kernel=kernel, **options).double()
    x = draw(batch, length, 8).requires_grad_()
    mine, right = mixer(x), sequential(mixer, x)
    torch.testing.assert_close(mine, right)
    wanted, weight = [x, *mixer.parameters()], draw(batch, length, 8, seed=2)
    found = torch.autograd.grad(mine, wanted, weight)
    torch.testing.assert_close(found, torch.autograd.grad(right, wanted, weight))


def test_outputs_are_the_authors() -> None:
    """Numbers from github.com/HazyResearch/safari, src/models/sequence/h3.py, without extensions.

    Run in float64 with these very parameters (head_dim 2, mode diag, measure diag-lin).
    """
    mixer = build(4, state=4, head_dim=2).double()
    s: Any = mixer.system
    with torch.no_grad():
        s.log_dt.copy_(torch.tensor([0.05, 0.3], dtype=torch.float64).log())
        s.A_log.copy_(torch.tensor([[0.5, 0.4], [0.3, 0.6]], dtype=torch.float64).log())
        s.A_imag.copy_(torch.tensor([[1.0, 3.0], [2.0, 5.0]]))
        tensors = [s.B, s.C, mixer.shift, mixer.shift_D, mixer.D]
        for phase, tensor in enumerate(tensors, start=1):
            tensor.copy_(waves(tensor, phase))
        linears = [mixer.q_proj, mixer.k_proj, mixer.v_proj, mixer.output_linear]
        for index, linear in enumerate(linears):
            linear.weight.copy_(waves(linear.weight, 6.0 + index))
            linear.bias.copy_(waves(linear.bias, -1.0 - index))
    x = waves(torch.empty(1, 6, 4), 0.0)
    wanted = torch.tensor(AUTHORS, dtype=torch.float64)[None]
    # their taps of the shift are rounded to float32
    torch.testing.assert_close(mixer(x), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", ["convolution", "reference"])
@pytest.mark.parametrize("options", [{}, {"head_dim": 4, "state": 2}, {"state": 20}])
def test_prefill_and_steps_equal_one_pass(kernel: str, options: dict[str, Any]) -> None:
    mixer = build(kernel=kernel, **options).double()
    x = draw(2, 90, 8).requires_grad_()
    whole = mixer(x)
    first, state = mixer.prefill(x[:, :2])  # shorter than the shift
    second, state = mixer.prefill(x[:, 2:80], state)
    rest = []
    for token in x[:, 80:].unbind(1):
        y, state = mixer.step(token, state)
        rest.append(y)
        numbers = sum(part.numel() * (1 + part.is_complex()) for part in state)
        assert numbers == 2 * mixer.state_size(90)
    parts = torch.cat([first, second, torch.stack(rest, 1)], 1)
    torch.testing.assert_close(parts, whole)
    weight, wanted = draw(2, 90, 8, seed=3), [x, *mixer.parameters()]
    found = torch.autograd.grad(parts, wanted, weight)
    torch.testing.assert_close(found, torch.autograd.grad(whole, wanted, weight))


def test_low_precision_carries_a_float32_state() -> None:
    mixer = build().bfloat16()
    exact = build()
    exact.load_state_dict(mixer.state_dict())
    x = draw(2, 40, 8).bfloat16()
    y, state = mixer.prefill(x)
    assert y.dtype == torch.bfloat16
    assert [part.dtype for part in state] == [torch.float32, torch.complex64]
    right = exact(x.float())
    assert (y.float() - right).norm() < 0.02 * right.norm()
    with torch.autocast("cpu", torch.bfloat16):
        cast, state = exact.prefill(x.float())
    assert [part.dtype for part in state] == [torch.float32, torch.complex64]
    assert (cast.float() - right).norm() < 0.02 * right.norm()


@pytest.mark.parametrize("options", [{}, {"head_dim": 4}, {"state": 2}])
def test_flops_are_what_the_counter_sees(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        mixer, x = build(**options), torch.empty(3, 100, 8)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    assert mixer.flops(3, 100).matmul == counter.get_total_flops()


def test_dynamics_have_settings_of_their_own() -> None:
    settings = build().parameter_settings()
    names = {"system.A_log", "system.A_imag", "system.B", "system.log_dt"}
    own = {"lr": 1e-3, "weight_decay": 0.0}
    assert dict(settings) == dict.fromkeys(names, own)
    assert names <= dict(build().named_parameters()).keys()


def test_the_shift_starts_as_a_convolution() -> None:
    taps = build(64, state=64).shift.abs()
    bound = 64**-0.5
    assert 0.99 * bound < taps.max() <= bound
    assert 0.48 * bound < taps.mean() < 0.52 * bound


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"mixer\.head_dim=5 .* dim=8; try mixer\.head_dim=4"):
        H3(8, head_dim=5)
