"""The conformance suite: what every mixer promises, one promise a check.

`zoo check NAME` runs it; in a plugin's own tests ``@conformance(MyMixer)`` stands over
``def test_it(check): check()``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo.errors import ZooError
from zoo.mixer import Direction, Mixer
from zoo.model import state_tensors
from zoo.options import given, options
from zoo.position import Position

if TYPE_CHECKING:
    import pytest

B, L, D = 3, 13, 32  # an odd length on purpose
LONGEST = 256
CHUNKS = 131  # an odd length over several chunks of any kernel


Positions = Mapping[str, type[Position]]


@dataclass(frozen=True)
class Subject:
    """A mixer class under test, in one direction, with a position inside and options of its own."""

    cls: type[Mixer]
    direction: Direction
    options: Mapping[str, Any] = field(default_factory=dict)
    position: type[Position] | None = None

    def build(self, seed: int = 0, **more: Any) -> Mixer:
        """A fresh mixer in float64 and eval mode; the seed decides its weights."""
        torch.manual_seed(seed)
        place = {
            "layer": 0,
            "depth": 2,
            "max_length": LONGEST,
            "causal": self.direction == "causal",
        }
        inside = self.position and partial(self.position, **given(self.position, **place))
        context = given(self.cls, position=inside, **place)
        return self.cls(D, **{**context, **self.options, **more}).double().eval()

    @property
    def decodes(self) -> bool:
        """Is there a step to hold against forward?"""
        return self.direction == "causal" and self.cls.step is not Mixer.step


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Reproducible float64 normals."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def require(kept: object, why: str) -> None:
    """An assertion that `python -O` does not take away."""
    if not kept:
        raise AssertionError(why)


def close(actual: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(
        actual, wanted, rtol=tolerance, atol=tolerance, msg=lambda detail: f"{what}\n{detail}"
    )


def check_shape(subject: Subject) -> None:
    mixer = subject.build()
    for length in (1, L):
        came = mixer(noise(B, length, D)).shape
        require(came == (B, length, D), f"(b, l, d) = {(B, length, D)} became {tuple(came)}")


def check_dtype(subject: Subject) -> None:
    for dtype in (torch.float64, torch.float32):
        came = subject.build().to(dtype)(noise(B, L, D).to(dtype)).dtype
        require(came == dtype, f"{dtype} became {came}")


def check_input_untouched(subject: Subject) -> None:
    x = noise(B, L, D)
    subject.build()(x)
    require(torch.equal(x, noise(B, L, D)), "forward changed its input in place")


def leaks(y: Tensor, x: Tensor, out: Any, later: Any, when: str) -> None:
    """In ``when`` mode, outputs y[out] must have no gradient from the inputs x[later]."""
    (grad,) = torch.autograd.grad((y[out] * noise(*y[out].shape, seed=2)).sum(), x)
    leak, scale = grad[later].abs().max(), grad.abs().max()
    require(leak <= 1e-7 * scale, f"in {when} mode inputs that must not count have a gradient")


def check_causality(subject: Subject) -> None:
    mixer, x = subject.build(), noise(B, L, D).requires_grad_()
    y = mixer(x)
    for t in (0, L // 2, L - 2):
        (grad,) = torch.autograd.grad((y[:, t] * noise(B, D, seed=2)).sum(), x, retain_graph=True)
        leak, scale = grad[:, t + 1 :].abs().max(), grad.abs().max()
        require(leak <= 1e-7 * scale, f"output {t} has a gradient of {leak:.1e} from later inputs")
        changed = torch.cat([x[:, : t + 1], 9 * noise(B, L - t - 1, D, seed=3)], dim=1)
        close(mixer(changed)[:, : t + 1], y[:, : t + 1], f"outputs up to {t} see later inputs")
    trained = subject.build().train()
    leaks(trained(x), x, (slice(None), L // 2), (slice(None), slice(L // 2 + 1, None)), "training")


def check_padding_independence(subject: Subject) -> None:
    mixer, x, lengths = subject.build(), noise(B, CHUNKS, D), torch.tensor([CHUNKS, 50, 1])
    other = x.clone()
    for row, length in enumerate(lengths.tolist()):
        other[row, length:] = 1e4 * noise(CHUNKS - length, D, seed=4)
    first, second = mixer(x, lengths), mixer(other, lengths)
    for row, length in enumerate(lengths.tolist()):
        real = slice(None, length)
        close(second[row, real], first[row, real], "what stands in the padding changes outputs")
        alone = mixer(x[row : row + 1, real])[0]
        close(first[row, real], alone, "a padded row differs from the same row without padding")


def check_full_lengths_are_no_lengths(subject: Subject) -> None:
    mixer, x = subject.build(), noise(B, L, D)
    close(mixer(x, torch.full((B,), L)), mixer(x), "lengths of full rows change outputs")


def check_batch_independence(subject: Subject) -> None:
    mixer, x = subject.build(), noise(B, L, D)
    y = mixer(x)
    close(mixer(x[:1]), y[:1], "a row alone differs from the same row in a batch")
    changed = torch.cat([x[:1], 9 * noise(B - 1, L, D, seed=5)])
    close(mixer(changed)[:1], y[:1], "a row depends on the other rows of its batch")
    inputs = x.clone().requires_grad_()
    leaks(subject.build().train()(inputs), inputs, slice(0, 1), slice(1, None), "training")


def check_any_length(subject: Subject) -> None:
    mixer, x = subject.build(), noise(2, CHUNKS, D)
    whole = mixer(x)
    for length in (1, 2, 3, 31, 64, 127, CHUNKS):
        y = mixer(x[:, :length])
        require(y.isfinite().all(), f"length {length} gives NaN or infinity")
        if subject.direction == "causal":
            close(y, whole[:, :length], f"length {length} differs from the same prefix of 131")


def check_step_equals_forward(subject: Subject) -> None:
    mixer, x, other = subject.build(), noise(B, 40, D), noise(B, 40, D, seed=8)
    wanted, state, another = mixer(x), mixer.initial_state(B), mixer.initial_state(B)
    for t, token in enumerate(x.unbind(1)):
        y, state = mixer.step(token, state)
        close(y, wanted[:, t], f"step {t} differs from forward")
        _, another = mixer.step(other[:, t], another)  # a second decode must not disturb the first


def check_prefill_equals_forward(subject: Subject) -> None:
    mixer, x = subject.build(), noise(B, CHUNKS, D)
    wanted, state, done = mixer(x), None, 0
    for end in (1, 3, 70, CHUNKS - 2):  # lengths short, odd, and over several chunks
        y, state = mixer.prefill(x[:, done:end], state)
        close(y, wanted[:, done:end], f"prefill of tokens {done} to {end} differs from forward")
        done = end
    for t in range(done, CHUNKS):
        y, state = mixer.step(x[:, t], state)
        close(y, wanted[:, t], f"step {t} after a prefill differs from forward")


def check_state_size_is_what_is_carried(subject: Subject) -> None:
    mixer, x = subject.build(), noise(1, 40, D)
    state = mixer.initial_state(1)
    for done, token in enumerate(x.unbind(1), start=1):
        _, state = mixer.step(token, state)
        if done in (1, 7, 40):
            tensors = {t.untyped_storage().data_ptr(): t for t in state_tensors(state)}
            carried = sum(real_numbers(tensor) for tensor in tensors.values())
            said = mixer.state_size(done)
            require(carried == said, f"state_size({done}) is {said}, {carried} numbers are carried")


def real_numbers(tensor: Tensor) -> int:
    """How many the memory behind a tensor holds; a complex number is two."""
    numbers = tensor.untyped_storage().nbytes() // tensor.itemsize
    return numbers * 2 if tensor.is_complex() else numbers


def check_flops_match_the_counter(subject: Subject) -> None:
    for length in (LONGEST // 2, LONGEST):
        with torch.device("meta"):
            mixer, x = subject.build().float(), torch.empty(2, length, D)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            mixer(x)
        said, counted = mixer.flops(2, length).matmul, counter.get_total_flops()
        require(
            abs(said - counted) <= 0.02 * max(said, counted),
            f"flops(2, {length}).matmul is {said:,}, torch counts {counted:,}",
        )


def check_gradients_reach_every_parameter(subject: Subject) -> None:
    mixer, x = subject.build(), noise(B, L, D).requires_grad_()
    (mixer(x) * noise(B, L, D, seed=6)).sum().backward()
    for name, tensor in [*mixer.named_parameters(), ("the input", x)]:
        grad = tensor.grad
        require(grad is not None, f"no gradient reaches {name}")
        require(grad is None or grad.isfinite().all(), f"the gradient of {name} is not finite")
        require(grad is None or grad.any(), f"the gradient of {name} is zero everywhere")


def check_determinism(subject: Subject) -> None:
    x = noise(B, L, D)
    mixer = subject.build()
    require(torch.equal(mixer(x), mixer(x)), "two passes in eval mode differ")
    require(torch.equal(subject.build()(x), mixer(x)), "the same seed gives other weights")


def check_state_dict_round_trip(subject: Subject) -> None:
    first, second, x = subject.build(seed=0), subject.build(seed=1), noise(B, L, D)
    second.load_state_dict(first.state_dict())
    require(torch.equal(second(x), first(x)), "weights that were loaded give other outputs")


def check_bf16(subject: Subject) -> None:
    mixer, x = subject.build(), noise(B, L, D)
    wanted = mixer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = mixer.float()(x.float())
    low = mixer.bfloat16()(x.bfloat16())
    require(low.dtype == torch.bfloat16, f"bfloat16 became {low.dtype}")
    for name, y in (("bfloat16", low), ("autocast", mixed)):
        error = (y.double() - wanted).norm() / wanted.norm()
        require(error < 0.05, f"{name} differs from float64 by {error:.1%} of the norm")


def check_kernels_agree(subject: Subject) -> None:
    x, results = noise(2, CHUNKS, D), {}
    for name in [k.name for k in subject.cls.kernels if k.reason(x) is None]:
        mixer, inputs = subject.build(kernel=name), x.clone().requires_grad_()
        try:
            y = mixer(inputs)
        except ZooError:  # it refuses what this mixer asks: a position, say
            continue
        (y * noise(2, CHUNKS, D, seed=7)).sum().backward()
        require(mixer.kernel_ran == name, f"kernel={name} ran {mixer.kernel_ran}")
        results[name] = [y.detach(), inputs.grad, *(p.grad for p in mixer.parameters())]
    last = subject.cls.kernels[-1].name
    require(last in results, f"kernel {last}, which should run everywhere, refuses")
    for name, each in results.items():
        for mine, truth in zip(each, results[last], strict=True):
            if mine is None or truth is None:
                raise AssertionError(f"kernel {name} leaves a parameter without a gradient")
            close(mine, truth, f"kernel {name} differs from {last}")


Check = Callable[[Subject], None]
ALWAYS: tuple[Check, ...] = (
    check_shape,
    check_dtype,
    check_input_untouched,
    check_padding_independence,
    check_full_lengths_are_no_lengths,
    check_batch_independence,
    check_any_length,
    check_flops_match_the_counter,
    check_gradients_reach_every_parameter,
    check_determinism,
    check_state_dict_round_trip,
    check_bf16,
)


def title(check: Check) -> str:
    """`causality`, as ``known_failures`` and `zoo check` call it."""
    return check.__name__.removeprefix("check_")


def checks(
    cls: type[Mixer], own: Mapping[str, Any], position: type[Position] | None = None
) -> Iterator[tuple[str, Check, Subject]]:
    """(id, check, subject) of every promise that this class makes, with such a position inside."""
    for direction in sorted(cls.directions, reverse=True):  # causal comes last in the alphabet
        if position is not None and direction not in position.directions:
            continue
        subject = Subject(cls, direction, own, position)
        every = [*ALWAYS]
        if direction == "causal":
            every.append(check_causality)
        if subject.decodes:
            every += [check_step_equals_forward, check_prefill_equals_forward]
            every += [check_state_size_is_what_is_carried]
        if len(cls.kernels) > 1 and "kernel" in options(cls, "mixer"):
            every.append(check_kernels_agree)
        for check in every:
            yield f"{direction}-{title(check)}", check, subject


def conformance(*classes: type[Mixer], **own: Any) -> "pytest.MarkDecorator":
    """Parametrise ``def test_it(check): check()``; keywords are options of the mixers.

    A known failure becomes a strict xfail with its reason.
    """
    import pytest

    cases = []
    for cls in classes:
        for name, check, subject in checks(cls, own):
            reason = cls.known_failures.get(title(check))
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []

            def bound(check: Check = check, subject: Subject = subject) -> None:
                check(subject)

            cases.append(pytest.param(bound, id=f"{cls.__name__}-{name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def inside(cls: type[Mixer], positions: Positions) -> Positions:
    """Those of the positions that act within such a mixer."""
    places = cls.positions - {"none", "embedding"}
    return {name: one for name, one in positions.items() if one.place in places}


def report(cls: type[Mixer], name: str, positions: Positions = MappingProxyType({})) -> int:
    """Run every check and print a line each; returns 1 if a promise is broken, else 0.

    Once more with each of ``positions`` that it takes, then a line for all that were kept. Raises
    ZooError when ``cls`` is no mixer.
    """
    if not (isinstance(cls, type) and issubclass(cls, Mixer)):
        raise ZooError(f"{name} is no zoo.Mixer; name a mixer of `zoo list mixers` or module:Class")
    broken = 0
    for label, check, subject in checks(cls, {}):
        outcome, why = judged(check, subject)
        broken += outcome == "FAIL"
        tell(outcome, label, why)
    for position, acts in inside(cls, positions).items():
        kept = 0
        for label, check, subject in checks(cls, {}, acts):
            outcome, why = judged(check, subject)
            kept += outcome == "ok"
            if outcome != "ok":
                broken += outcome == "FAIL"
                tell(outcome, f"position={position} {label}", why)
        tell("ok", f"position={position}", f"{kept} promises kept")
    print(f"{name}: {'every promise kept' if not broken else f'{broken} broken'}")
    return int(bool(broken))


def judged(check: Check, subject: Subject) -> tuple[str, str]:
    """`ok`, `known` or `FAIL`, and why."""
    known = subject.cls.known_failures.get(title(check))
    try:
        check(subject)
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        return ("known", known) if known else ("FAIL", _plainly(error, first))
    return ("FAIL", "passes, but is declared a known failure") if known else ("ok", "")


def tell(outcome: str, label: str, why: str) -> None:
    """One line."""
    print(f"{outcome:5} {label.replace('_', ' ')}{f': {why}' if why else ''}")


def _plainly(error: Exception, lines: list[str]) -> str:
    """What broke: the promise's own words, or the exception if it was none."""
    return lines[0] if isinstance(error, AssertionError) else f"{type(error).__name__}: {lines[0]}"
