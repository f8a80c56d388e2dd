"""Mixers that break one promise fail the check that bears its name, and no good one does."""

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import zoo
import zoo.testing as zoo_testing
from zoo.testing import checks, conformance, report


class Good(zoo.Mixer):
    """A running mean with a learnt gain: every promise is kept."""

    def __init__(self, dim: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.dim, self.gain = dim, nn.Parameter(torch.full((dim,), gain))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        count = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
        return self.gain * x.cumsum(1) / count[:, None]

    def initial_state(self, batch: int) -> zoo.State:
        return 0, self.gain.new_zeros(batch, self.dim)

    def step(self, x: Tensor, state: zoo.State) -> tuple[Tensor, zoo.State]:
        count, total = state[0] + 1, state[1] + x
        return self.gain * total / count, (count, total)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(0, other=3 * batch * length * self.dim)

    def state_size(self, length: int) -> int:
        return self.dim


class LeaksTheFuture(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) + 1e-3 * x.roll(-1, dims=1)


class WrongState(Good):
    def state_size(self, length: int) -> int:
        return self.dim // 2


class DependsOnItsBatch(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) - 1e-3 * x.mean(0)


class StepsElsewhere(Good):
    def step(self, x: Tensor, state: zoo.State) -> tuple[Tensor, zoo.State]:
        y, state = super().step(x, state)
        return 1.01 * y, state


class ReadsThePadding(Good):
    directions: ClassVar = frozenset({"bidirectional"})

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.gain * (x + x.mean(1, keepdim=True))


class WrongFlops(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) @ torch.eye(self.dim, dtype=x.dtype, device=x.device)


class StarvedParameter(Good):
    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.unused = nn.Parameter(torch.zeros(dim))


class Random(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) + 1e-3 * torch.rand(1, dtype=x.dtype, device=x.device)


class KeepsNothing(Good):
    def state_dict(self, *args: object, **kwargs: object) -> dict[str, Tensor]:  # type: ignore[override]
        return {"gain": torch.ones(self.dim)}

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        nn.init.normal_(self.gain)


class LosesPrecision(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return (super().forward(x) * (1.0 if x.dtype != torch.bfloat16 else 1.2)).to(x.dtype)


class ChangesItsInput(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        y = super().forward(x)
        with torch.no_grad():
            x.mul_(1.0001)
        return y


class FailsAtOne(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) / (x.shape[1] - 1)


class WrongShape(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x)[..., :-1]


class WrongDtype(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x).float()


class LeaksWithoutAGradient(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) + 1e-3 * x.detach().roll(-1, dims=1)


class NormalisesTheBatch(Good):
    """Harmless in eval mode, where a batch norm looks at nothing but its own averages."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        y: Tensor = self.norm(super().forward(x).mT).mT
        return y


class HidesItsState(Good):
    def initial_state(self, batch: int) -> zoo.State:
        self.hidden = super().initial_state(batch)
        return None

    def step(self, x: Tensor, state: zoo.State) -> tuple[Tensor, zoo.State]:
        y, self.hidden = super().step(x, self.hidden)
        return y, None


class ForgetsLengthsWhenLong(ReadsThePadding):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is not None and x.shape[1] <= 16:
            keep = torch.arange(x.shape[1]) < lengths[:, None]
            x = x.masked_fill(~keep[..., None], 0)
            return self.gain * (x + x.sum(1, keepdim=True) / lengths[:, None, None])
        return super().forward(x)


class KnowsOneLength(Good):
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(x) @ torch.eye(self.dim, dtype=x.dtype, device=x.device)

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(2 * batch * 256 * self.dim**2)


class Owns(Good):
    known_failures: ClassVar = {"flops_match_the_counter": "this formula is wrong on purpose"}

    def flops(self, batch: int, length: int) -> zoo.Flops:
        return zoo.Flops(1)


BAD = {
    LeaksTheFuture: "causality",
    WrongState: "state_size_is_what_is_carried",
    DependsOnItsBatch: "batch_independence",
    StepsElsewhere: "step_equals_forward",
    ReadsThePadding: "padding_independence",
    WrongFlops: "flops_match_the_counter",
    StarvedParameter: "gradients_reach_every_parameter",
    Random: "determinism",
    KeepsNothing: "state_dict_round_trip",
    LosesPrecision: "bf16",
    ChangesItsInput: "input_untouched",
    FailsAtOne: "any_length",
    WrongShape: "shape",
    WrongDtype: "dtype",
    LeaksWithoutAGradient: "causality",
    NormalisesTheBatch: "batch_independence",
    HidesItsState: "step_equals_forward",
    ForgetsLengthsWhenLong: "padding_independence",
    KnowsOneLength: "flops_match_the_counter",
}


@pytest.mark.parametrize("cls", BAD, ids=lambda cls: cls.__name__)
def test_a_broken_promise_fails_the_check_of_its_name(cls: type[zoo.Mixer]) -> None:
    broken = set()
    for name, check, subject in checks(cls, {}):
        try:
            check(subject)
        except (AssertionError, RuntimeError):
            broken.add(name.partition("-")[2])
    assert BAD[cls] in broken


@conformance(Good, Owns)
def test_a_good_mixer_passes_and_a_known_failure_is_expected(check: Callable[[], None]) -> None:
    check()


@conformance(Good, gain=2.0)
def test_options_reach_the_mixer(check: Callable[[], None]) -> None:
    check()


def test_the_report_names_the_broken_promise(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(LeaksTheFuture, "leaky") == 1
    out = capsys.readouterr().out
    assert "FAIL  causal-causality: output 0 has a gradient of" in out
    assert "ok    causal-shape" in out


def test_the_report_shows_known_failures_with_their_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(Owns, "owns") == 0
    expected = "known causal-flops match the counter: this formula is wrong on purpose"
    assert expected in capsys.readouterr().out


def test_a_known_failure_that_passes_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Good, "known_failures", {"shape": "not any more"})
    assert report(Good, "good") == 1
    assert "declared a known failure" in capsys.readouterr().out


def test_what_is_no_mixer_is_refused() -> None:
    with pytest.raises(zoo.ZooError, match=r"no zoo\.Mixer"):
        report(dict, "dict")  # type: ignore[arg-type]


def test_a_batch_norm_breaks_causality_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(NormalisesTheBatch, "normed") == 1
    assert "FAIL  causal-causality: in training mode" in capsys.readouterr().out


def test_promises_are_checked_without_assertions_too() -> None:
    """`python -O` drops assert statements; a promise must not go with them."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(zoo_testing))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
