"""From which length on: against curves whose crossing is known."""

from math import log

import pytest

from zoo.profile.crossover import crossover

LENGTHS = [2**k for k in range(8, 14)]


def test_two_powers_cross_where_they_are_equal() -> None:
    found = crossover(
        "forward_ms", "a", "b", {n: n / 1000 for n in LENGTHS}, {n: n * n / 1e6 for n in LENGTHS}
    )
    assert found is not None
    assert found.length == pytest.approx(1000)
    assert found.text.startswith("a is faster than b beyond a length of about 1,000")


def test_what_does_not_cross_is_not_extrapolated() -> None:
    found = crossover(
        "train_bytes",
        "a",
        "b",
        dict.fromkeys(LENGTHS, 1000000.0),
        {n: n * n / 1e6 for n in LENGTHS},
    )
    assert found is not None
    assert found.length is None
    assert found.text == "b is smaller than a from 256 to 8,192"


def test_the_last_of_several_crossings_counts_and_their_number_is_told() -> None:
    a, b = {1: 1.0, 2: 3.0, 4: 1.0, 8: 3.0}, dict.fromkeys([1, 2, 4, 8, 16], 2.0)
    found = crossover("decode_ms", "a", "b", a, b)
    assert found is not None
    assert found.length is not None
    assert 4 < found.length < 8
    assert "b is faster than a" in found.text
    assert "they cross 3 times" in found.text


def test_equal_curves_and_too_few_common_lengths() -> None:
    same = crossover("forward_ms", "a", "b", {1: 1.0, 2: 1.0}, {1: 1.0, 2: 1.0})
    assert same is not None
    assert same == (None, "a and b are equal from 1 to 2")
    assert crossover("forward_ms", "a", "b", {1: 1.0, 2: 1.0}, {2: 1.0, 4: 1.0}) is None


def test_lengths_too_close_to_call_decide_nothing() -> None:
    a, b = {1: 1.0, 2: 3.0, 4: 2.1, 8: 3.0, 16: 1.9}, dict.fromkeys([1, 2, 4, 8, 16], 2.0)
    found = crossover("forward_ms", "a", "b", a, b, close={4, 16})
    assert found is not None
    assert found.length == pytest.approx(2 ** (1 - (log(1.5) / log(3.0))))  # between 1 and 2
    assert found.text.endswith("(from 1 to 16; too close to call beyond 8)")
    never = crossover("forward_ms", "a", "b", a, b, close={1, 4, 16})
    assert never is not None
    assert never.length is None
    assert never.text == "b is faster than a from 2 to 8, too close to call elsewhere from 1 to 16"
    nothing = crossover("forward_ms", "a", "b", a, b, close=a)
    assert nothing == (None, "a and b are too close to call from 1 to 16")
