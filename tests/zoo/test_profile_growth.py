"""The exponent of a cost: recovered from what is known, with an interval that holds it."""

from math import log

import numpy as np
import pytest

from zoo.profile.claim import claim, effective, exact
from zoo.profile.growth import Growth, Refused, growth, many

LENGTHS = [2**k for k in range(8, 17)]


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("overhead", [0.0, 1.0])
def test_it_finds_what_made_the_values(p: float, overhead: float) -> None:
    scale = 2.0 / LENGTHS[3] ** p
    found = growth(LENGTHS, [overhead + scale * n**p for n in LENGTHS])
    assert isinstance(found, Growth)
    assert found.exponent == pytest.approx(p, abs=1e-3)
    assert found.low <= found.exponent <= found.high
    assert found.high - found.low < 0.01
    assert found.overhead == pytest.approx(overhead, abs=2e-3)
    assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.r2 > 0.9999
    assert (found.points, found.shortest, found.longest) == (9, 256, 65536)


def test_an_overhead_hides_no_growth() -> None:
    lengths = [128, 256, 512, 1024, 2048, 4096]
    values = [1 + 2e-6 * n**2 for n in lengths]  # the slope of the logarithms is about 1
    found = growth(lengths, values)
    assert isinstance(found, Growth)
    assert found.exponent == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(("p", "overhead"), [(1.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(p: float, overhead: float) -> None:
    noise = np.random.default_rng(0).standard_normal((400, len(LENGTHS)))
    truth = np.array([overhead + (n / 1024) ** p for n in LENGTHS])
    held = 0
    for found in many(LENGTHS, (truth * np.exp(0.05 * noise)).tolist()):
        assert isinstance(found, Growth)
        assert found.high - found.low < 0.5
        held += found.low <= p <= found.high
    assert 367 <= held <= 393  # 95 of 100, and three standard errors of it


def test_many_rows_are_fitted_as_each_alone_and_bad_ones_spoil_no_other() -> None:
    rows = [[1.0 + (n / 700) ** p for n in LENGTHS] for p in (0.7, 1.3, 2.1)]
    rows[1:1] = [[3.0] * len(LENGTHS), [-1.0] * len(LENGTHS), [float("nan")] * len(LENGTHS)]
    found = many(LENGTHS, rows)
    assert found == [growth(LENGTHS, row) for row in rows]
    assert [isinstance(one, Refused) for one in found] == [False, True, True, True, False, False]


@pytest.mark.parametrize(
    ("lengths", "values", "why"),
    [
        ([256, 512, 1024, 8192], [1, 2, 4, 32], "4 lengths"),
        ([100, 200, 400, 600, 900], [1, 2, 4, 6, 9], "factor of 10"),
        (LENGTHS, [0.0, *LENGTHS[1:]], "not above zero"),
        (LENGTHS, [3.0] * 9, "no growth"),
        (LENGTHS, [5.0, 4.6, 5.3, 4.8, 5.1, 4.9, 5.2, 4.7, 5.0], "no growth"),
        (LENGTHS, [1 / n for n in LENGTHS], "no growth"),
        (LENGTHS, [52, 0.4, 0.6, 1.6, 7, 3, 60, 4, 90], "scatter too much"),
    ],
)
def test_it_refuses_what_tells_no_exponent(
    lengths: list[int], values: list[float], why: str
) -> None:
    found = growth(lengths, values)
    assert isinstance(found, Refused)
    assert why in found.reason


def test_what_a_claim_amounts_to() -> None:
    assert effective("l", 256, 65536) == pytest.approx(1)
    assert effective("l sqrt l", 256, 65536) == pytest.approx(1.5)
    assert effective("l^2", 256, 65536) == pytest.approx(2)
    assert effective("l log l", 256, 65536) == pytest.approx(1 + log(2) / log(256))
    assert effective("l log l", 1, 64) == pytest.approx(log(64 * log(64) / log(2)) / log(64))


@pytest.mark.parametrize(
    ("claimed", "p", "verdict", "says"),
    [
        ("l", 1.0, "yes", "n^1.00"),
        ("l", 2.0, "no", "n^2.00"),
        ("l log l", 1.12, "yes", "l log l is n^1.12"),
        ("l log l", 1.5, "no", "n^1.50"),
        ("l^2", 1.0, "yes", "slower than claimed"),
        (None, 1.0, "undecided", "claims nothing"),
    ],
)
def test_a_claim_holds_where_growth_is_not_above_it(
    claimed: str | None, p: float, verdict: str, says: str
) -> None:
    found = claim(claimed, LENGTHS, [1 + (n / 500) ** p for n in LENGTHS])
    assert found.verdict == verdict
    assert says in found.reason


def test_a_claim_is_undecided_on_too_few_lengths() -> None:
    assert claim("l", [256, 512, 1024], [1.0, 4.0, 16.0]).verdict == "undecided"


def test_what_does_not_grow_is_within_any_claim_and_what_scatters_is_not() -> None:
    assert claim("l", LENGTHS, [3.0] * 9).verdict == "yes"
    assert claim("l", LENGTHS, [52, 0.4, 0.6, 1.6, 7, 3, 60, 4, 90]).verdict == "undecided"


@pytest.mark.parametrize(
    ("exponents", "claimed", "verdict"),
    [
        ((1.05, 1.49), "l", "yes"),
        ((1.05, 1.51), "l", "undecided"),  # so narrow, and yet l sqrt l is in it
        ((1.11, 1.2), "l", "no"),
        ((1.09, 1.2), "l", "yes"),
        ((0.0, 1.4), "l", "yes"),  # whatever it is, it is not above
        ((1.5, 2.4), "l^2", "yes"),
        ((1.5, 2.6), "l^2", "undecided"),
    ],
)
def test_an_interval_that_holds_the_next_claim_too_decides_nothing(
    exponents: tuple[float, float],
    claimed: str,
    verdict: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    low, high = exponents
    made_up = Growth((low + high) / 2, low, high, 0, 1, 1, 9, 256, 65536)
    monkeypatch.setattr("zoo.profile.claim.growth", lambda lengths, values: made_up)
    assert claim(claimed, LENGTHS, LENGTHS).verdict == verdict


def test_a_claim_that_only_a_newer_zoo_knows_is_undecided() -> None:
    for judge in (claim, exact):
        found = judge("l^3", LENGTHS, [float(n) for n in LENGTHS])
        assert found == ("undecided", "'l^3' is no claim that can be judged")


def test_flops_of_two_neighbours_are_no_growth() -> None:
    lengths = [100, 512, 1024, 1025]
    flops = [1000.0 * 16 * -(-n // 16) for n in lengths]  # in chunks of 16
    assert exact("l", lengths, flops).verdict == "yes"
    assert "from 512 to 1025" in exact("l", lengths, flops).reason


def test_flops_are_judged_where_they_have_grown_most() -> None:
    attention = [8 * 256**2 * n + 4 * n**2 * 256 for n in LENGTHS]  # linear at first
    assert exact("l^2", LENGTHS, attention).verdict == "yes"
    assert exact("l", LENGTHS, attention).verdict == "no"
    assert exact("l", LENGTHS[:3], attention[:3]).verdict == "undecided"
