"""Numbers as a person reads them, against what a person would write."""

import unicodedata

import pytest

from zoo_leaderboard.wording import MISSING, chances, score, short, signed, span, visible


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, MISSING),
        (0.0, "0.000"),
        (0.5, "0.500"),
        (-0.25, "-0.250"),
        (0.0006, "0.001"),
        (0.00042, "0.00042"),  # not 0.000
        (-1.23e-7, "-1.2e-07"),
        (99.5, "99.500"),
        (123.456, "123.5"),
        (12345678.0, "1.235e+07"),
    ],
)
def test_a_score(value: float | None, text: str) -> None:
    assert score(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "B", MISSING),
        (0.0, "", "0"),
        (999.0, "", "999"),
        (1000.0, "", "1k"),
        (201_456.0, "", "201k"),
        (999_499.0, "", "999k"),
        (999_999.0, "", "1M"),
        (-5_000.0, "", "-5k"),
        (12_582_912.0, "B", "12.6 MB"),
        (0.8512, "ms", "0.851 ms"),
        (15_000.0, "ms", "15000 ms"),
        (2.5e18, "", "2500P"),
        (0.00123, "", "0.00123"),
        (0.00001, "", "1e-05"),
    ],
)
def test_a_measurement(value: float | None, unit: str, text: str) -> None:
    assert short(value, unit) == text


def test_intervals_differences_and_p() -> None:
    assert span((0.25, 0.75)) == "0.250\u20130.750"
    assert span(None) == signed(None) == chances(None) == MISSING
    assert [signed(v) for v in (0.5, -0.5, 0.0, -0.0012345)] == ["+0.5", "-0.5", "+0", "-0.00123"]
    told = {0.0009: "<.001", 0.001: "0.001", 0.0494: "0.049", 0.0499: "<.05", 0.05: "0.050"}
    assert {p: chances(p) for p in told} == told


def test_what_hides_or_moves_is_written_out() -> None:
    assert visible("a\u202eb\u200b\x1b[2J\n") == "a\\u202eb\\u200b\\x1b[2J\\n"
    assert visible("Äñ漢 字\u3000") == "Äñ漢 字\u3000"  # a wide space hides nothing
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    every = [chr(number) for number in range(0x10000)]
    kept = {sign for sign in every if visible(sign) == sign}
    assert {sign for sign in every if unicodedata.category(sign) in hidden} == {*every} - kept
