"""Intervals against figures worked out by hand from the table of Student's t."""

import pytest

from zoo_leaderboard.statistics import summarise


def test_three_seeds_give_the_interval_of_the_table() -> None:
    # mean 0.5, s = 0.1, t(0.975; 2) = 4.30265: half = 4.30265 * 0.1 / sqrt(3) = 0.248414
    summary = summarise([0.4, 0.5, 0.6], "accuracy")
    assert summary is not None
    assert summary.interval is not None
    assert summary.mean == pytest.approx(0.5)
    assert summary.interval == pytest.approx((0.251586, 0.748414), abs=1e-6)


def test_five_seeds_give_the_interval_of_the_table() -> None:
    # mean 3, s = sqrt(2.5), t(0.975; 4) = 2.77645: half = 2.77645 * sqrt(2.5 / 5) = 1.963243
    summary = summarise([1, 2, 3, 4, 5], "length")
    assert summary is not None
    assert summary.interval == pytest.approx((1.036757, 4.963243), abs=1e-5)


@pytest.mark.parametrize(
    ("values", "metric", "interval"),
    [
        ([0.9, 1.0, 1.0], "accuracy", (0.966667 - 0.143422, 1.0)),
        ([0.0, 0.1, 0.0], "accuracy", (0.0, 0.033333 + 0.143422)),
        ([0.0, 0.1, 0.0], "bits_per_byte", (0.0, 0.033333 + 0.143422)),
        ([0.0, 0.1, 0.0], "correlation", (0.033333 - 0.143422, 0.033333 + 0.143422)),
    ],
)
def test_an_interval_stays_within_what_the_metric_can_be(
    values: list[float], metric: str, interval: tuple[float, float]
) -> None:
    summary = summarise(values, metric)
    assert summary is not None
    assert summary.interval == pytest.approx(interval, abs=1e-5)


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    one = summarise([0.5], "accuracy")
    assert one is not None
    assert (one.mean, one.n, one.interval) == (0.5, 1, None)
    assert summarise([], "accuracy") is None


def test_values_beyond_float_have_no_mean_rather_than_a_crash() -> None:
    assert summarise([1.7e308, 1.7e308], "perplexity") is None
