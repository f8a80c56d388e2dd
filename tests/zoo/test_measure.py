"""Measuring: FLOPs on meta, what the counter misses, decoding in the causal form, memory."""

import sys

import pytest
import torch

from zoo import registry
from zoo.config import resolve
from zoo.errors import Killed
from zoo.kernel import Kernel, pick
from zoo.measure import Peak, decoding, efficiency, flops_per_token, forward_ms, peak_memory
from zoo.plan import Plan, plan
from zoo_attention.full import Attention

SHELVES = registry.load()


def planned(*words: str) -> Plan:
    (config,) = resolve(SHELVES, ["budget=smoke", "dim=16", "depth=1", *words], multirun=False)
    return plan(SHELVES, config)


def test_attentions_products_are_counted_although_the_cpu_kernel_hides_them() -> None:
    one = planned("task=copy", "mixer=attention", "channel=none")
    found, length = flops_per_token(one), one.task.length
    projections, scores = 2 * 4 * 16 * 16, 2 * 2 * 16 * length
    head = 2 * 16 * one.task.outputs
    assert found.counted == projections + scores + head
    assert "_softmax" in " ".join(found.uncounted)


def test_the_scan_of_mamba_is_listed_as_uncounted() -> None:
    found = flops_per_token(planned("task=copy", "mixer=mamba"))
    assert found.closed_form is not None
    assert found.counted is not None
    assert found.closed_form > found.counted  # the scan, which torch counts as nothing
    assert "mul" in found.uncounted or "mul_" in found.uncounted


def test_a_bidirectional_model_is_decoded_in_its_causal_form() -> None:
    one = planned("task=lra/listops", "mixer=attention")
    assert one.config["direction"] == "bidirectional"
    carried: dict[int, int] = {}
    assert decoding(one, one.build(), (3, 8), lambda: None, carried) > 0
    assert carried == {3: 4 * 2 * 3 * 16, 8: 4 * 2 * 8 * 16}


def test_a_mixer_that_does_not_decode_leaves_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attention, "directions", frozenset({"bidirectional"}))
    one = planned("task=lra/listops", "mixer=attention")
    cost, missing = efficiency(one, one.build(), lambda: None)
    assert cost.decode_ms_per_token is None
    assert missing["efficiency.decode_ms_per_token"] == (
        "attention is bidirectional only: it does not decode"
    )


def test_a_length_that_a_model_cannot_take_leaves_a_reason() -> None:
    one = planned("task=copy", "mixer=attention", "position=learned", "task.test_length=64")
    cost, missing = efficiency(one, one.build(), lambda: None)
    assert set(cost.forward_ms) == set()
    assert "learned" in missing["efficiency.forward_ms.1024"]
    assert set(cost.state_bytes) == {64}  # 128 positions: 64 were reached, 256 never
    assert "learned" in missing["efficiency.state_bytes.256"]


def test_a_bug_while_measuring_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug in a stranger's step")

    monkeypatch.setattr(Attention, "step", broken)
    one = planned("task=copy", "mixer=attention")
    cost, missing = efficiency(one, one.build(), lambda: None)
    assert missing["efficiency.decode_ms_per_token"] == "a bug in a stranger's step"
    assert cost.params


def test_a_signal_ends_measuring() -> None:
    def killed() -> None:
        raise Killed(2, 1)

    one = planned("task=copy", "mixer=attention")
    with pytest.raises(Killed):
        efficiency(one, one.build(), killed)


def test_a_timing_is_positive_with_its_spread() -> None:
    one = planned("task=copy", "mixer=mamba")
    spread = forward_ms(one.build().eval(), 64, "32")
    assert spread.median > 0
    assert spread.iqr >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory needs /proc")
def test_the_peak_is_that_of_the_block_and_forgets_what_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Peak, "used", False)
    before = torch.ones(40 * 2**20)  # 160 MiB that come and go before
    del before
    with peak_memory("cpu") as peak:
        inside = torch.ones(20 * 2**20)  # 80 MiB
        del inside
    assert peak.bytes is not None
    assert 70 * 2**20 < peak.bytes < 120 * 2**20
    with peak_memory("cpu") as second:  # its process has memory to use again
        pass
    assert second.bytes is None
    assert second.reason


def test_a_kernel_that_cannot_run_is_passed_over_and_says_why_when_named() -> None:
    here = Kernel("here", lambda x: x)
    absent = Kernel("absent", lambda x: x, missing=lambda: "pip install it")
    small = Kernel("small", lambda x: x, refuses=lambda x: "too long" if len(x) > 2 else None)
    kernels = (absent, small, here)
    assert pick(kernels, "auto", torch.ones(2)).name == "small"
    assert pick(kernels, "auto", torch.ones(3)).name == "here"
    with pytest.raises(Exception, match="absent cannot run here: pip install it"):
        pick(kernels, "absent", torch.ones(2))
    with pytest.raises(Exception, match="small cannot run here: too long"):
        pick(kernels, "small", torch.ones(3))
    with pytest.raises(Exception, match="did you mean 'small'"):
        pick(kernels, "smal", torch.ones(2))
