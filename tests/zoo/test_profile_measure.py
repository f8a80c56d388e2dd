"""Measuring for real, small: one whole call, and a worker that is refused memory."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo import memory, registry
from zoo.cli import invoke
from zoo.profile import record
from zoo.profile.cell import Cell
from zoo.profile.command import measured
from zoo.profile.process import Process
from zoo.profile.record import Profile
from zoo.profile.start import decide, start
from zoo.profile.words import read

SHELVES = registry.load()
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is told and bounded on Linux")


def cell(*words: str, limit: float = 20) -> Cell:
    """One that has measured nothing."""
    asked = read(SHELVES, words, multirun=False)
    config = decide(SHELVES, asked.configs[0], max(asked.lengths))
    profile = start(SHELVES, config, asked, "2026-01-01T00:00:00+00:00")
    longest = max(asked.lengths)
    return Cell(profile, config, session=profile.session, longest=longest, limit=limit)


def profiles(runs: Path) -> list[Profile]:
    found = list(record.read_all(runs))
    assert all(isinstance(one, Profile) for one in found)
    return found  # type: ignore[return-value]


@linux
def test_a_profile_is_measured_kept_printed_and_drawn(
    runs: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roofs = {"matmul_flops": 1e11, "bandwidth": 1e10, "threads": 1}
    monkeypatch.setattr("zoo.profile.session.roofs", lambda device, precision: roofs)
    out, drawn = tmp_path / "out.json", tmp_path / "drawn"
    words = ["profile", "-m", "mixer=attention,lru", "length=32", "dim=16", "rounds=3"]
    assert invoke([*words, "--json", str(out), "--charts", str(drawn)]) == 0
    told = capfd.readouterr()
    assert "length 32: 2 start" in told.err
    for title in ("forward, ms", "state, MiB", "complexity as claimed?"):
        assert title in told.out
    one, other = sorted(profiles(runs), key=lambda p: p.mixer)
    assert (one.mixer, one.kernel, one.direction, one.family) == (
        "attention",
        "sdpa",
        "causal",
        "attention",
    )
    assert one.machine.matmul_flops == 1e11
    assert one.params == 4 * 16 * 16
    (long,) = one.points
    assert long.length == 32
    for timing in (long.forward_ms, long.train_ms, long.prefill_ms, long.decode_ms):
        assert timing is not None
        assert timing.n == 3
        assert 0 < timing.low <= timing.median <= timing.high
    assert long.state_bytes == long.state_closed_form == 2 * 32 * 16 * 4
    assert long.flops == 2 * 32 * 4 * 16 * 16 + (4 * 16 + 5 * 4) * 32 * 32
    assert long.flops_counted == 2 * 32 * 4 * 16 * 16 + 4 * 16 * 32 * 32
    assert long.least_bytes == 4 * (4 * 16 * 16 + 2 * 32 * 16)
    assert set(long.missing) <= {"joules"}
    assert long.forward_bytes is not None
    assert long.forward_bytes < 2**25  # above what is there without it, some 300 MiB
    assert other.points[0].state_bytes == other.points[0].state_closed_form
    (group,) = json.loads(out.read_text())
    assert [row["label"] for row in group["rows"]] == ["attention", "lru"]
    assert {path.name for path in drawn.iterdir()} >= {"time.svg", "memory.png", "roofline.svg"}
    assert one.session == other.session


@linux
def test_memory_that_is_refused_is_a_point_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = cell("mixer=attention", "mixer.kernel=reference", "length=2048,4096", "dim=16")
    plenty = memory.available()
    assert plenty is not None
    allow: dict[str, int] = {"memory": 40 * 2**20, "reach": 10 * 2**20}
    ask = Process.ask

    def bounded(self: Process, request: Any, seconds: float) -> dict[str, Any]:
        return ask(self, {**request, "allowance": allow.get(request["do"], 2**33)}, seconds)

    monkeypatch.setattr(Process, "ask", bounded)
    try:
        one.begin(2048)
        one.ready()
        one.sizes()
        one.turn("forward")
        one.end()
        one.begin(4096)
    finally:
        one.stop()
    (point,) = one.profile.points
    for field in ("forward_ms", "forward_bytes", "train_ms", "train_bytes", "decode_ms"):
        assert point.missing[field].kind == "oom", field
        assert "allocate" in point.missing[field].reason
    assert point.flops is not None
    assert point.moved_bytes is not None
    assert one.missing["train_ms"].reason.startswith("not tried: at 2,048, ")


def test_what_would_take_too_long_is_not_tried_nor_what_is_longer() -> None:
    one = cell("mixer=attention", "length=64..512", "dim=16", limit=1)
    one.past["forward"] = [(64, 0.1), (128, 0.4)]
    one.length = 256
    assert one.predict("forward") == pytest.approx(1.6)
    one.past["train"] = [(64, 1e-3), (128, 1.0)]  # noise, not growth
    assert one.predict("train") == pytest.approx(2**2.2)
    one.past["decode"] = [(64, 1e-3), (128, 0.5)]
    assert one.predict("decode") == 0.5


@linux
@pytest.mark.slow
def test_the_scores_of_attention_are_quadratic_in_memory_unless_they_are_fused(runs: Path) -> None:
    words = ["mixer=attention", "mixer.kernel=sdpa,reference", "dim=64", "rounds=3"]
    asked = read(SHELVES, [*words, "length=1024,2048,4096"], multirun=True)
    fused, plain = (
        {p.length: p.forward_bytes for p in one.points} for one in measured(SHELVES, asked, runs)
    )
    scores = 4 * 4 * 4096**2  # 4 bytes, 4 heads
    assert plain[4096] is not None
    assert plain[2048] is not None
    assert plain[4096] > scores
    assert 3.5 < plain[4096] / plain[2048] < 4.5
    assert fused[4096] is not None
    assert fused[1024] is not None
    assert fused[4096] < scores / 10
    assert 2.5 < fused[4096] / fused[1024] < 5.5
