"""What S4 and S4D share, and some of it H3: decoding, prefilling, precision, costs, settings."""

from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm import lti
from zoo_ssm.h3 import H3
from zoo_ssm.lti_layer import Layer
from zoo_ssm.s4 import S4
from zoo_ssm.s4d import S4D

MIXERS = [
    pytest.param(S4, {}, id="s4"),
    pytest.param(S4D, {}, id="s4d"),
    pytest.param(S4D, {"init": "legs", "disc": "bilinear"}, id="s4d-legs-bilinear"),
    pytest.param(S4D, {"init": "real"}, id="s4d-real"),
]


def build(cls: Any, options: dict[str, Any], dim: int = 6, **more: Any) -> Any:
    torch.manual_seed(0)
    return cls(dim, **{"state": 4, **options, **more})


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("cls", "options"), MIXERS)
@pytest.mark.parametrize("kernel", ["convolution", "reference"])
@pytest.mark.parametrize("cuts", [(1, 90), (70, 71), (64, 128), (63, 129)])
def test_prefill_and_steps_equal_one_pass(
    cls: Any, options: dict[str, Any], kernel: str, cuts: tuple[int, int]
) -> None:
    mixer = build(cls, options, kernel=kernel).double()
    x = draw(2, 135, 6).requires_grad_()
    whole = mixer(x)
    first, state = mixer.prefill(x[:, : cuts[0]])
    second, state = mixer.prefill(x[:, cuts[0] : cuts[1]], state)
    rest = []
    for token in x[:, cuts[1] :].unbind(1):
        y, state = mixer.step(token, state)
        rest.append(y)
    numbers = state.numel() * (1 + state.is_complex())
    assert numbers == 2 * mixer.state_size(135) == state.untyped_storage().nbytes() // 8
    parts = torch.cat([first, second, torch.stack(rest, 1)], 1)
    torch.testing.assert_close(parts, whole, rtol=1e-7, atol=1e-9)
    weight, wanted = draw(2, 135, 6, seed=3), [x, *mixer.parameters()]
    found = torch.autograd.grad(parts, wanted, weight)
    truth = torch.autograd.grad(whole, wanted, weight)
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-8)


def test_blocks_fill_a_state_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer, x = build(S4, {}).double(), draw(1, 50, 6)
    _, right = mixer.prefill(x)
    for size in (1, 2, 16):
        monkeypatch.setattr(lti, "BLOCK", size)
        torch.testing.assert_close(mixer.prefill(x)[1], right)


@pytest.mark.parametrize(("cls", "options"), MIXERS)
def test_bidirectional_layers_have_no_state(cls: Any, options: dict[str, Any]) -> None:
    mixer = build(cls, options, causal=False)
    with pytest.raises(zoo.ZooError, match="looks both ways here: it has no step"):
        mixer.initial_state(1)
    with pytest.raises(zoo.ZooError, match="looks both ways here: it has no step"):
        mixer.prefill(torch.zeros(1, 2, 6))


@pytest.mark.parametrize(("cls", "options"), MIXERS)
def test_low_precision_is_kept_out_of_the_system(cls: Any, options: dict[str, Any]) -> None:
    mixer, x = build(cls, options), draw(2, 70, 6, dtype=torch.float32)
    wide: dict[str, list[Tensor]] = {}
    for name in ("plain", "autocast"):
        with torch.autocast("cpu", torch.bfloat16, enabled=name == "autocast"):
            kernel = mixer.pick(x)
            y = kernel.run(mixer.system, x)
            after, state = kernel.run(mixer.system, x, mixer.initial_state(2))
        gradients = torch.autograd.grad(y.sum() + after.sum(), mixer.system.C)
        wide[name] = [y, after, state, *gradients]
    for one, other in zip(*wide.values(), strict=True):
        assert torch.equal(one, other)
    low = build(cls, options).bfloat16()
    y, state = low.prefill(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert state.dtype in (torch.float32, torch.complex64)
    exact = build(cls, options)
    exact.load_state_dict(low.state_dict())
    right = exact(x.bfloat16().float())
    assert (y.float() - right).norm() < 0.02 * right.norm()


@pytest.mark.parametrize(("cls", "options"), MIXERS)
@pytest.mark.parametrize("causal", [True, False])
def test_flops_are_what_the_counter_sees(cls: Any, options: dict[str, Any], causal: bool) -> None:
    with torch.device("meta"):
        mixer, x = build(cls, options, causal=causal), torch.empty(3, 100, 6)
    with FlopCounterMode(display=False) as counter:
        mixer(x)
    flops = mixer.flops(3, 100)
    assert flops.matmul == counter.get_total_flops()
    # what no counter sees: two real transforms of 200 numbers for each of 18 rows, at the least
    assert flops.other > 2 * 18 * 2.5 * 200 * 7


@pytest.mark.parametrize(("cls", "options"), MIXERS)
def test_dynamics_have_settings_of_their_own(cls: Any, options: dict[str, Any]) -> None:
    mixer: Layer = build(cls, options)
    settings, names = mixer.parameter_settings(), dict(mixer.named_parameters()).keys()
    own = {"lr": 1e-3, "weight_decay": 0.0}
    assert dict(settings) == dict.fromkeys(settings, own)
    rest = {"D", "system.C", "output_linear.weight", "output_linear.bias"}
    assert names - settings.keys() == rest
    assert settings.keys() < names


@pytest.mark.parametrize(("cls", "options"), [*MIXERS, pytest.param(H3, {}, id="h3")])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("filling", [float("nan"), float("inf"), 1e8])
def test_whatever_stands_in_the_padding_stays_there(
    cls: Any, options: dict[str, Any], causal: bool, filling: float
) -> None:
    """Transforms mix all of a row: in float32 the rounding of 1e8 would reach the tokens."""
    if cls is H3 and not causal:
        return
    mixer = build(cls, options if cls is H3 else {**options, "causal": causal})
    x, lengths = draw(2, 20, 6, dtype=torch.float32), torch.tensor([20, 7])
    other = x.clone()
    other[1, 7:] = filling
    other.requires_grad_()
    y = mixer(other, lengths)
    torch.testing.assert_close(y[1, :7], mixer(x[1:, :7])[0])
    (grad,) = torch.autograd.grad(y[1, :7].sum(), other)
    assert grad[1, :7].isfinite().all()
    assert not grad[1, 7:].any()


@pytest.mark.parametrize(("cls", "options"), [*MIXERS, pytest.param(H3, {}, id="h3")])
@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 6)], ids=str)
def test_no_rows_and_no_tokens_are_no_error(
    cls: Any, options: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    for kernel in cls.kernels:
        mixer = build(cls, options, kernel=kernel.name)
        assert mixer(torch.zeros(shape)).shape == shape
        y, state = mixer.prefill(torch.zeros(shape), mixer.initial_state(shape[0]))
        assert y.shape == shape
        torch.testing.assert_close(state, mixer.initial_state(shape[0]))


@pytest.mark.parametrize(("cls", "options"), [*MIXERS, pytest.param(H3, {}, id="h3")])
@pytest.mark.parametrize("log_dt", [-1e4, -100.0, -30.0, 20.0, 60.0])
def test_steps_near_zero_and_huge_have_finite_outputs_and_gradients(
    cls: Any, options: dict[str, Any], log_dt: float
) -> None:
    for kernel in cls.kernels:
        mixer, x = build(cls, options, kernel=kernel.name), draw(2, 20, 6, dtype=torch.float32)
        with torch.no_grad():
            mixer.system.log_dt.fill_(log_dt)
        y = mixer(x)
        assert y.isfinite().all()
        torch.autograd.backward(y.square().sum())
        for name, parameter in mixer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the most bytes that any tensor made inside it held."""

    bytes: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, Tensor):
                self.bytes = max(self.bytes, each.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize(("cls", "options"), MIXERS)
def test_no_tensor_holds_states_or_poles_of_all_tokens(cls: Any, options: dict[str, Any]) -> None:
    length, dim, state = 4096, 8, 64
    mixer = build(cls, options, dim, state=state, kernel="convolution")
    x = draw(1, length, dim, dtype=torch.float32).requires_grad_()
    with Largest() as seen:  # type: ignore[no-untyped-call]
        torch.autograd.grad(mixer(x).sum(), [x, *mixer.parameters()])
    assert seen.bytes < length * dim * state * 4 / 4


@pytest.mark.parametrize(("cls", "options"), MIXERS)
def test_mixers_compile_whole(
    cls: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # beartype's cannot be traced
    mixer = build(cls, options, kernel="convolution")
    x = draw(2, 11, 6, dtype=torch.float32).requires_grad_()
    compiled: Any = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    both = [compiled(x), mixer(x)]
    torch.testing.assert_close(*both)
    wanted = [x, *mixer.parameters()]
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), wanted) for y in both))
