"""Scores by length: in the row, the terminal, the JSON and the chart."""

import io
from typing import Any

import pytest
import vl_convert
from rich.console import Console

from zoo_leaderboard.charts.line import MOST, length
from zoo_leaderboard.document import document
from zoo_leaderboard.read import board
from zoo_leaderboard.terminal import show

FAR = {8: 0.9, 16: 0.8, 32: 0.7}


@pytest.fixture
def tracks(put: Any, runs: Any) -> Any:
    """Two positions of one mixer; the one was tested longer than the other."""
    for seed, high in enumerate((0.0, 0.1, 0.2)):
        longer = {n: value - high for n, value in FAR.items()}
        where = {"position": {"name": "alibi"}}
        put(0.9, mixer="attention", seed=seed, curve=longer, trained_to=8, config=where)
    where = {"position": {"name": "rope"}}
    put(0.5, mixer="attention", curve={8: 0.5, 16: 0.1}, trained_to=8, config=where)
    return board(runs).tracks


def test_a_row_has_the_mean_over_seeds_at_each_length(tracks: Any) -> None:
    (track,) = tracks
    (_, first), (_, second) = track.ranking
    assert [row.label for row in (first, second)] == [
        "attention position=alibi",
        "attention position=rope",
    ]
    assert {n: one.mean for n, one in first.curve.items()} == pytest.approx(
        {8: 0.8, 16: 0.7, 32: 0.6}
    )
    low, high = first.curve[8].interval
    half = 4.302653 * 0.1 / 3**0.5  # Student's t with 2 degrees of freedom
    assert (low, high) == pytest.approx((0.8 - half, 1.0), rel=1e-5)  # clipped: an accuracy
    assert second.curve[8].interval is None
    assert track.curve_lengths == (8, 16, 32)
    assert track.trained_to == 8


def test_seeds_tested_at_other_lengths_share_what_they_share(put: Any, runs: Any) -> None:
    put(0.9, seed=0, curve=FAR)
    put(0.9, seed=1, curve={16: 0.6, 64: 0.5})
    (track,) = board(runs).tracks
    assert {n: one.mean for n, one in track.rows[0].curve.items()} == {16: pytest.approx(0.7)}
    whole = document(board(runs))
    assert length(whole, whole["tracks"][0]) is None  # one length is no curve


def test_the_terminal_says_which_lengths_were_never_seen(tracks: Any, runs: Any) -> None:
    text = io.StringIO()
    show(board(runs), Console(file=text, width=100))
    lines = text.getvalue().splitlines()
    (head,) = [i for i, line in enumerate(lines) if "accuracy at" in line]
    assert lines[head].split() == ["accuracy", "at", "8", "16", "32"]
    assert lines[head + 1].split() == ["mixer", "unseen", "unseen"]
    assert lines[head + 2].split() == ["attention", "position=alibi", "0.800", "0.700", "0.600"]
    # nothing is made up for the length that this one was not tested at
    assert lines[head + 3].split()[-3:-1] == ["0.500", "0.100"]
    assert "longer than the 8 that training shows" in text.getvalue()


def test_a_narrow_terminal_keeps_the_longest_lengths(tracks: Any, runs: Any) -> None:
    text = io.StringIO()
    show(board(runs), Console(file=text, width=46))
    (head,) = [line for line in text.getvalue().splitlines() if "accuracy at" in line]
    assert head.split()[-1] == "32"
    assert "8" not in head.split()


def test_json_holds_the_curve(runs: Any, tracks: Any) -> None:
    (track,) = document(board(runs))["tracks"]
    assert track["trained_to"] == 8
    last = track["rows"][0]["curve"][-1]
    assert last["length"] == 32
    assert last["mean"] == pytest.approx(0.6)
    assert last["low"] < last["mean"] < last["high"]


def test_the_chart_has_a_line_a_row_and_a_rule_where_training_ends(tracks: Any, runs: Any) -> None:
    whole = document(board(runs))
    made = length(whole, whole["tracks"][0])
    assert made is not None
    assert len(made["datasets"]["points"]) == 5
    svg = vl_convert.vegalite_to_svg(made)
    for text in ("trained to here", "chance", "attention position=rope"):
        assert f">{text}<" in svg  # written, the last one in the legend


def test_as_many_rows_as_are_drawn_are_told_apart_by_colour_and_dash(put: Any, runs: Any) -> None:
    for i in range(MOST + 1):
        put(0.5, mixer=f"m{i}", curve=FAR)
    whole = document(board(runs))
    made = length(whole, whole["tracks"][0])
    assert made is not None
    encoding = made["layer"][-1]["encoding"]
    looks = zip(
        encoding["color"]["scale"]["range"],
        map(tuple, encoding["strokeDash"]["scale"]["range"]),
        strict=True,
    )
    assert len(set(looks)) == MOST
