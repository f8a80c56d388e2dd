"""Claims about speed: profiles of one session, compared at the longest length that both have."""

from typing import Any

import pytest

from zoo.profile.record import Machine, Point, Profile, Timing
from zoo_leaderboard.findings.spec import Finding
from zoo_leaderboard.findings.verdict import evaluate
from zoo_leaderboard.read import Board

MACHINE = Machine(device="cpu", precision="32", torch="2", python="3", threads=2)


def profile(mixer: str, points: list[Point], **changes: Any) -> Profile:
    return Profile(
        **{
            "profile_id": f"{mixer}{changes}",
            "session": "2026-11-01T10:00:00+00:00",
            "subject": "mixer",
            "mixer": mixer,
            "options": {},
            "position": "none",
            "family": "x",
            "kernel": None,
            "complexity": "l",
            "dim": 256,
            "depth": 1,
            "batch": 1,
            "direction": "causal",
            "params": 1,
            "points": points,
            "machine": MACHINE,
            **changes,
        }
    )


def point(length: int, median: float, *, n: int = 16, state: int | None = None) -> Point:
    timing = Timing(median=median, low=median / 1.05, high=median * 1.05, n=n)
    return Point(length=length, forward_ms=timing, state_bytes=state)


def verdict(*profiles: Profile, name: str = "forward_ms", **bound: float) -> dict[str, Any]:
    test = {
        "a": {"mixer": ["attention"]}, "b": {"mixer": ["mamba"]}, "measure": "ratio",
        "quantity": {"of": "profile", "name": name, "length": 1024}, **(bound or {"at_least": 1.0}),
    }  # fmt: skip
    whole = {"id": "x", "claim": "it is", "source": "s4", "command": "zoo profile", "test": test}
    return evaluate(Finding.model_validate(whole), Board((), profiles, ()))


def test_a_ratio_of_medians_has_its_interval_from_the_quartiles() -> None:
    slow = profile("attention", [point(1024, 1.0), point(4096, 16.0), point(16384, 900.0)])
    fast = profile("mamba", [point(1024, 2.0), point(4096, 8.0)])
    found = verdict(slow, fast)
    assert found["verdict"] == "supported"
    (one,) = found["evidence"]
    assert (one["length"], one["difference"]) == (4096, pytest.approx(2.0))
    # se = 0.929 sqrt(2) ln(1.1025) / 4 = 0.032050; t(0.975; 15) = 2.131450: exp(+-0.068313)
    assert (one["low"], one["high"]) == pytest.approx((1.867938, 2.141400), abs=1e-4)
    assert one["track"].startswith("profile-")
    assert verdict(slow, fast, at_least=2.5)["verdict"] == "contradicted"
    assert verdict(slow, fast, at_most=2.5)["verdict"] == "supported"
    assert verdict(slow, fast, at_least=2.1)["verdict"] == "not enough runs"


def test_what_is_counted_needs_no_interval() -> None:
    big = profile("attention", [point(1024, 1.0, state=4000)])
    small = profile("mamba", [point(1024, 1.0, state=100)])
    found = verdict(big, small, name="state_bytes", at_least=10)
    assert found["verdict"] == "supported"
    assert found["evidence"][0]["difference"] == 40


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"session": "2026-11-02T10:00:00+00:00"}, "no session yet"),
        ({"dim": 128}, "no session yet"),
        ({"direction": "bidirectional"}, "no session yet"),
        ({"machine": MACHINE.model_copy(update={"device": "gpu"})}, "no session yet"),
        ({"kernel": "reference"}, "no session yet"),
        ({"points": [point(512, 1.0)]}, "no length from 1024 on"),
        ({"points": [point(1024, 1.0, n=4)]}, "fewer than 5 repeats"),
    ],
)
def test_other_conditions_short_lengths_and_few_repeats_are_no_evidence(
    changes: dict[str, Any], reason: str
) -> None:
    found = verdict(
        profile("attention", [point(1024, 9.0)]),
        profile("mamba", **{"points": [point(1024, 1.0)], **changes}),
    )
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert reason in found["reason"]


def test_of_two_sessions_the_latest_counts() -> None:
    old = [profile("attention", [point(1024, 1.0)]), profile("mamba", [point(1024, 9.0)])]
    later = {"session": "2026-11-03T10:00:00+00:00"}
    new = [
        profile("attention", [point(1024, 9.0)], **later),
        profile("mamba", [point(1024, 1.0)], **later),
    ]
    found = verdict(*new, *old)
    assert found["verdict"] == "supported"
    assert len(found["evidence"]) == 1


def test_only_lengths_that_one_session_measured_count() -> None:
    later = {"session": "2026-11-09T10:00:00+00:00"}
    went_on = [point(1024, 9.0), point(4096, 1.0).model_copy(update=later)]
    slow = profile("attention", went_on)
    fast = profile("mamba", [point(1024, 1.0), point(4096, 9.0)])
    found = verdict(slow, fast)
    assert found["verdict"] == "supported"
    assert found["evidence"][0]["length"] == 1024  # the other was no turn with mamba
    both = [point(1024, 1.0), point(4096, 9.0).model_copy(update=later)]
    again = verdict(slow, profile("mamba", both))
    assert again["verdict"] == "contradicted"
    assert again["evidence"][0]["length"] == 4096


def test_a_ratio_to_nothing_tells_nothing() -> None:
    found = verdict(
        profile("attention", [point(1024, 1.0, state=4000)]),
        profile("mamba", [point(1024, 1.0, state=0)]),
        name="state_bytes",
        at_least=10,
    )
    assert found["verdict"] == "not enough runs"
    assert "a ratio to 0 tells nothing" in found["reason"]


def test_a_length_of_too_few_repeats_hides_no_shorter_one() -> None:
    slow = profile("attention", [point(1024, 9.0), point(4096, 99.0, n=3)])
    fast = profile("mamba", [point(1024, 1.0), point(4096, 9.0)])
    found = verdict(slow, fast)
    assert found["verdict"] == "supported"
    assert found["evidence"][0]["length"] == 1024
