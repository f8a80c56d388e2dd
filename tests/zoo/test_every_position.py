"""Every mixer with every position it takes, in every direction: the cross product of promises."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import zoo
from zoo import registry
from zoo.config import resolve
from zoo.plan import plan
from zoo.testing import Check, Subject, checks, inside, title

SHELVES = registry.load()
POSITIONS = {name: SHELVES.positions[name] for name in SHELVES.positions}
LONG = (
    40  # of the 64 = 8 x 8 that a task with strings of 32 shows: a grid for those of two dimensions
)


def cases() -> Iterator[Any]:
    for name in SHELVES.mixers:
        cls = SHELVES.mixers[name]
        for position, acts in inside(cls, POSITIONS).items():
            for label, check, subject in checks(cls, {}, acts):
                reason = cls.known_failures.get(title(check))
                marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
                yield pytest.param(check, subject, id=f"{name}-{position}-{label}", marks=marks)


@pytest.mark.parametrize(("check", "subject"), list(cases()))
def test_every_promise_is_kept_with_every_position(check: Check, subject: Subject) -> None:
    check(subject)


def taken() -> list[tuple[str, str]]:
    """(mixer, position) that go together in a causal task."""
    return [
        (mixer, position)
        for mixer in SHELVES.mixers
        for position, acts in POSITIONS.items()
        if acts.place in SHELVES.mixers[mixer].positions
    ]


@pytest.mark.parametrize(("mixer", "position"), taken())
def test_a_model_decodes_what_it_computes_at_once(mixer: str, position: str) -> None:
    words = ["task=copy task.test_length=32", f"mixer={mixer}", f"position={position}"]
    words = [*" ".join(words).split(), "budget=smoke", "dim=16", "depth=2", "match=none"]
    (config,) = resolve(SHELVES, words, multirun=False)
    one = plan(SHELVES, config)
    torch.manual_seed(0)
    model = one.build().double().eval()
    tokens = torch.randint(0, one.task.inputs, (2, LONG))
    wanted, state = model.features(tokens), model.initial_state(2)
    for t in range(LONG):
        y, state = model.step(tokens[:, t], state)
        torch.testing.assert_close(y, wanted[:, t], rtol=1e-6, atol=1e-8)
    reference = plan(SHELVES, config)
    torch.manual_seed(0)
    again = reference.build().double().eval()
    torch.testing.assert_close(again.features(tokens[:, :7]), wanted[:, :7], rtol=1e-6, atol=1e-8)


def test_a_position_that_a_mixer_cannot_take_is_refused_with_those_it_can() -> None:
    words = ["task=copy", "mixer=mamba", "position=rope", "budget=smoke"]
    (config,) = resolve(SHELVES, words, multirun=False)
    with pytest.raises(zoo.ZooError, match=r"position=rope .* mamba cannot take; it can take "):
        plan(SHELVES, config).build()
