"""Intervals against figures worked out by hand from the table of Student's t."""

from statistics import fmean

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from zoo_leaderboard.statistics import compare, holm, summarise


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
        ([0.0, 0.1, 0.0], "bits_per_character", (0.0, 0.033333 + 0.143422)),
        ([0.0, 0.1, 0.0], "loss", (0.0, 0.033333 + 0.143422)),
        ([1.0, 1.1, 1.0], "perplexity", (1.0, 1.033333 + 0.143422)),
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
    assert summarise([1.7e308, 1.6e308], "perplexity") is None
    assert summarise([1.7e308, 1.7e308], "perplexity") is not None


VALUES = st.dictionaries(
    st.integers(0, 6), st.floats(0.01, 1).map(lambda v: round(v, 4)), max_size=6
)


def reference(a: dict[int, float], b: dict[int, float]) -> tuple[float, float, float]:
    """SciPy's own tests: the interval and p."""
    if a.keys() == b.keys():
        found = scipy.stats.ttest_rel([a[s] for s in a], [b[s] for s in a])
    else:
        found = scipy.stats.ttest_ind([*a.values()], [*b.values()], equal_var=False)
    interval = found.confidence_interval(0.95)
    return float(interval.low), float(interval.high), float(found.pvalue)


@pytest.mark.parametrize(
    ("a", "b", "test"),
    [
        ({0: 0.41, 1: 0.45, 2: 0.40}, {0: 0.40, 1: 0.41, 2: 0.39}, "paired t"),
        ({2: 0.41, 0: 0.45, 1: 0.40}, {0: 0.40, 1: 0.41, 2: 0.39}, "paired t"),
        ({0: 0.41, 1: 0.45, 2: 0.40}, {0: 0.40, 1: 0.41, 3: 0.39}, "Welch"),
        ({0: 0.41, 1: 0.45}, {5: 0.1, 6: 0.7, 7: 0.2, 8: 0.9, 9: 0.5}, "Welch"),
        ({0: 0.5, 1: 0.51}, {1: 0.4, 2: 0.6}, "Welch"),
    ],
)
def test_two_rows_are_compared_as_scipy_does(
    a: dict[int, float], b: dict[int, float], test: str
) -> None:
    found = compare(a, b)
    assert found.test == test
    assert found.difference == pytest.approx(fmean(a.values()) - fmean(b.values()))
    assert (found.low, found.high, found.p) == pytest.approx(reference(a, b), rel=1e-9)


@given(VALUES, VALUES)
def test_a_comparison_turned_around_is_its_mirror(a: dict[int, float], b: dict[int, float]) -> None:
    one, other = compare(a, b), compare(b, a)
    assert (one.n_a, one.n_b) == (other.n_b, other.n_a) == (len(a), len(b))
    assert (one.difference is None) == (not a or not b)
    assert {one.low is None, one.high is None, one.p is None, one.test is None} in ({True}, {False})
    if one.difference is not None and other.difference is not None:
        assert one.difference == pytest.approx(-other.difference)
    if one.p is not None and one.low is not None and one.high is not None:
        assert one.p == pytest.approx(other.p)
        assert one.low == pytest.approx(-(other.high or 0.0))
        assert 0 <= one.p <= 1
        assert one.low <= (one.difference or 0.0) <= one.high
        if abs(one.p - 0.05) > 1e-6:  # an interval leaves zero out where p says so
            assert (one.p < 0.05) == (one.low > 0 or one.high < 0)
        shifted = compare({s: v + 1 for s, v in a.items()}, {s: v + 1 for s, v in b.items()})
        assert shifted.p == pytest.approx(one.p, rel=1e-4, abs=1e-9)


def test_values_whose_fourth_powers_leave_the_floats_are_compared_like_any() -> None:
    a, b = {0: 3.0, 1: 4.0}, {3: 1.0, 4: 0.9, 5: 2.0}
    huge = compare({s: v * 1e150 for s, v in a.items()}, {s: v * 1e150 for s, v in b.items()})
    assert huge.p == pytest.approx(compare(a, b).p)


def test_a_small_spread_is_not_taken_for_rounding() -> None:
    a, b = {0: 1 + 3e-10, 1: 1 + 5e-10, 2: 1 + 4e-10}, {0: 1.0, 1: 1.0, 2: 1.0}
    assert compare(a, b).p == pytest.approx(reference(a, b)[2], rel=1e-3)


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        ({}, {0: 0.5}, None),
        ({0: 0.5}, {0: 0.25}, 0.25),
        ({0: 0.5}, {0: 0.25, 1: 0.25, 2: 0.5}, 1 / 6),
        ({0: 0.5, 1: 0.5}, {2: 0.25, 3: 0.25}, 0.25),
        ({0: 0.3, 1: 0.5}, {0: 0.2, 1: 0.4}, 0.1),  # the gaps differ by their rounding alone
        ({0: 1.7e308, 1: 1.6e308}, {0: 1.0, 1: 2.0}, None),
    ],
)
def test_what_too_few_seeds_or_no_spread_cannot_say_is_not_said(
    a: dict[int, float], b: dict[int, float], difference: float | None
) -> None:
    found = compare(a, b)
    assert found.difference == (None if difference is None else pytest.approx(difference))
    assert (found.low, found.high, found.p, found.test) == (None, None, None, None)


@given(st.lists(st.one_of(st.none(), st.just(0.0), st.floats(1e-9, 1)), max_size=7))
def test_holm_is_the_least_level_at_which_the_rule_rejects(ps: list[float | None]) -> None:
    """Holm 1979: from the smallest p on, reject while p_(k) <= level / (m - k + 1)."""
    family = sorted(p for p in ps if p is not None)

    def rejected(p: float, level: float) -> bool:
        for k, one in enumerate(family):
            if one * (len(family) - k) > level:
                return p < one
        return True

    for p, adjusted in zip(ps, holm(ps), strict=True):
        assert (p is None) == (adjusted is None)
        if p is not None and adjusted is not None:
            assert rejected(p, adjusted) or adjusted == 1  # no level is above 1
            assert adjusted >= p
            assert adjusted == 0 or not rejected(p, adjusted * (1 - 1e-9)) or adjusted == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])


def test_seeds_that_agree_have_no_spread_at_all() -> None:
    summary = summarise([0.1, 0.1, 0.1], "accuracy")  # their sum over 3 is 0.10000000000000002
    assert summary is not None
    assert (summary.mean, summary.sd, summary.interval) == (0.1, 0, (0.1, 0.1))


@pytest.mark.parametrize("values", [[-0.1, -0.2], [50.0, 50.5, 51.0]])
def test_a_metric_that_leaves_its_range_is_not_clipped_to_it(values: list[float]) -> None:
    percent, plain = summarise(values, "accuracy"), summarise(values, "correlation")
    assert percent == plain


def test_a_difference_is_clipped_to_what_two_values_can_differ_by() -> None:
    a, b = {0: 0.9, 1: 0.2}, {0: 0.1, 1: 0.3}
    wide, clipped = compare(a, b), compare(a, b, "accuracy")
    assert wide.high is not None
    assert wide.high > 1
    assert (clipped.low, clipped.high) == (-1, 1)
    assert (clipped.difference, clipped.p) == (wide.difference, wide.p)
    assert compare(a, b, "perplexity") == compare(a, b, "bits_per_byte") == wide
    c, d = ({s: 100 * v for s, v in side.items()} for side in (a, b))  # per cent
    assert compare(c, d, "accuracy").high == pytest.approx(100 * wide.high)


def test_a_side_without_spread_counts_with_the_others_spread() -> None:
    # s_b = 0.1 sqrt(2), error = s_b / sqrt(2) = 0.1, 1 degree of freedom: t(0.975; 1) = 12.7062
    found = compare({0: 0.5, 1: 0.5}, {1: 0.4, 2: 0.6})
    assert (found.difference, found.freedom) == pytest.approx((0.0, 1.0))
    assert (found.low, found.high, found.p) == pytest.approx((-1.27062, 1.27062, 1.0), abs=1e-5)
