"""A worker's answers, asked in this process: what each figure is of, and the kinds of failure."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from zoo import memory, registry
from zoo.errors import ZooError
from zoo.model import state_bytes
from zoo.profile import energy, peak
from zoo.profile.start import decide
from zoo.profile.words import read
from zoo.profile.worker import KEPT, STEPS, Worker, failure

SHELVES = registry.load()


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How often freed memory was to be kept: a setting that would stay with this process."""
    asked: list[bool] = []
    monkeypatch.setattr(memory, "keep", lambda: asked.append(True))
    return asked


def build(*words: str, length: int = 64, batch: int = 1) -> tuple[Worker, dict[str, Any]]:
    """One that has built what the words ask for, and what it says of it."""
    asked = read(SHELVES, words, multirun=False)
    config = decide(SHELVES, asked.configs[0], length)
    one = Worker()
    return one, one.build(config, batch, length, length)


@pytest.mark.parametrize(
    "words",
    [
        ("mixer=attention", "precision=bf16"),
        ("mixer=mamba", "precision=bf16"),
        ("mixer=reformer", "precision=32"),  # it carries ids of 8 bytes beside numbers of 4
        ("mixer=reformer", "precision=bf16"),
        ("mixer=sliding", "mixer.window=16", "precision=32"),
        ("mixer=lru", "precision=32"),  # complex
        ("task=copy", "mixer=mamba", "budget=smoke", "depth=2", "precision=32"),
    ],
)
def test_the_closed_form_of_the_state_is_what_is_carried(words: tuple[str, ...]) -> None:
    one, said = build(*words, "dim=32", length=96, batch=3)
    assert one.reach()["bytes"] == said["state_closed_form"] > 0


def test_what_does_not_decode_has_a_closed_form_and_is_refused_the_state() -> None:
    one, said = build("mixer=sliding", "direction=bidirectional", "dim=16")
    assert not one.subject.module.causal
    assert said["state_closed_form"] > 0
    with pytest.raises(ZooError, match="does not decode") as refused:
        one.reach()
    assert failure(refused.value)["miss"]["kind"] == "refused"


def test_learned_positions_reach_one_beyond_the_longest_length() -> None:
    words = ("task=copy", "mixer=attention", "position=learned", "budget=smoke", "depth=1")
    one, _ = build(*words, length=1500)
    assert one.subject.longest == 1500  # far over the task's own
    one.reach()
    assert one.time("decode", None)["seconds"] > 0


def test_a_token_is_one_of_several_in_a_call_and_short_calls_are_warmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, _ = build("mixer=lru", "dim=16", length=8)
    called: list[str] = []
    one.calls = {name: lambda name=name: called.append(name) for name in ("forward", "decode")}  # type: ignore[misc]

    def ticks() -> Iterator[float]:
        while True:
            yield from (100.0, 104.0)

    clock = ticks()
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert one.time("forward", None)["seconds"] == 4.0
    assert one.time("decode", 0.1)["seconds"] == 4.0 / STEPS
    assert called == ["forward", "forward", "decode", "decode"]
    called.clear()
    assert one.time("forward", 0.3)["seconds"] == 4.0
    assert called == ["forward"]


def test_decoding_goes_on_from_the_same_past_each_time() -> None:
    one, _ = build("mixer=attention", "dim=16", length=40)
    before = one.reach()["bytes"]
    steps: list[int] = []
    plain = one.subject.step

    def step(token: torch.Tensor, state: Any) -> None:
        steps.append(state_bytes(state))
        plain(token, state)

    one.subject.step = step  # type: ignore[method-assign]
    one.decode()
    assert steps == [before] * STEPS


def test_training_goes_back_to_the_parameters_and_the_input() -> None:
    one, _ = build("mixer=lru", "dim=16", length=8)
    one.time("train", 1.0)
    assert all(p.grad is not None for p in one.subject.module.parameters())
    assert not one.inputs.requires_grad


def test_statistics_of_a_batch_and_dropout_are_at_work_in_training_alone() -> None:
    block = ("block=postnorm", "block.norm=batch", "block.dropout=0.5")
    words = ("task=copy", "mixer=lru", "budget=smoke", "depth=1", *block)
    one, _ = build(*words, length=32)
    modes: list[bool] = []
    one.subject.module.register_forward_pre_hook(lambda m, _: modes.append(m.training))
    one.time("forward", 1.0)
    one.time("train", 1.0)
    one.time("forward", 1.0)
    assert modes == [False, True, False]
    one.reach()
    assert one.time("decode", 1.0)["seconds"] > 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"), "oom"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] can't allocate memory: 9 bytes"), "oom"),
        (RuntimeError("std::bad_alloc"), "oom"),
        (RuntimeError("could not create a memory object"), "oom"),
        (ZooError("kernel=x needs CUDA"), "refused"),
        (RuntimeError("shapes differ"), "failed"),
        (ValueError(), "failed"),
    ],
)
def test_kinds_of_failure(error: Exception, kind: str) -> None:
    miss = failure(error)["miss"]
    assert miss["kind"] == kind
    assert miss["reason"]


def test_energy_is_of_one_pass_and_untold_where_there_is_no_meter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, _ = build("mixer=lru", "dim=16", length=8)
    joules = iter([10.0, 34.0])
    passes: list[int] = []
    one.calls = {"forward": lambda: passes.append(1)}
    monkeypatch.setattr(energy, "meter", lambda device: lambda: next(joules))
    assert one.energy(0.1) == {"joules": 24 / len(passes)}
    assert len(passes) == 6  # half a second of them

    def none(device: str) -> None:
        raise energy.Untold("no counter")

    monkeypatch.setattr(energy, "meter", none)
    assert one.energy(0.1) == {"joules": None, "untold": "no counter"}


def test_roofs_are_of_one_call_in_the_quickest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [5.0, 4.0, 3.0, 6.0, 5.0, 7.0, 9.0]
    clock = iter([0.0, 0.0, *(time for one in seconds for time in (10.0, 10.0 + one))])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    done: list[int] = []
    assert peak.best(lambda: done.append(1), "cpu") == 3.0
    assert len(done) == len(seconds) + 2  # the first two are warming up
    monkeypatch.setattr(peak, "best", lambda call, device: call() is None or 2.0)
    assert Worker().probe("cpu", "32") == {
        "matmul_flops": 2 * 2048**3 / 2.0,
        "bandwidth": 2 * 2**28 / 2.0,
        "threads": torch.get_num_threads(),
    }


def test_what_a_call_frees_is_kept_between_turns_unless_it_is_a_lot(
    kept: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = build("mixer=attention", "dim=16")
    given: list[bool] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(True))
    one.memory("forward")
    assert one.most < KEPT
    assert (len(kept), len(given)) == (0, 1)  # memory is measured with what is freed given back
    one.time("forward", None)
    assert (len(kept), len(given)) == (1, 1)
    with monkeypatch.context() as patched:
        patched.setattr(memory, "forget_peak", lambda: True)
        patched.setattr(memory, "resident", lambda: 5)
        patched.setattr(memory, "peak", lambda: KEPT + 5)
        assert one.memory("train")["bytes"] == KEPT
    given.clear()
    calls: list[bool] = []
    monkeypatch.setitem(one.calls, "forward", lambda: calls.append(True))
    one.time("forward", 1.9)  # a turn of its own warms what it will give back
    assert (len(kept), len(given), len(calls)) == (2, 1, 2)
    one.time("forward", 2.0)
    assert (len(kept), len(given), len(calls)) == (3, 2, 3)

    def short() -> None:
        raise MemoryError

    monkeypatch.setitem(one.calls, "forward", short)
    with pytest.raises(MemoryError):
        one.time("forward", None)
    assert len(given) == 3
