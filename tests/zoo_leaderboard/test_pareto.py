"""The front of quality against cost."""

from hypothesis import given
from hypothesis import strategies as st

from zoo_leaderboard.pareto import Point, front

# Few values, so that ties and equal points are common.
POINTS = st.lists(
    st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), max_size=14
)


def beats(a: Point, b: Point) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a != b


@given(POINTS)
def test_the_front_is_every_point_that_no_other_beats(points: list[Point]) -> None:
    expected = [i for i, b in enumerate(points) if not any(beats(a, b) for a in points)]
    assert front(points) == expected


@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points: list[Point], random: object) -> None:
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(points[i] for i in front(points)) == sorted(shuffled[i] for i in front(shuffled))


def test_ties_are_kept_and_nothing_has_an_empty_front() -> None:
    assert front([(1, 2), (1, 2), (0, 2), (2, 1)]) == [0, 1, 3]
    assert front([]) == []
