"""Charts from the document: complete Vega-Lite, the points of the rows, drawn without a browser."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

import zoo_leaderboard.charts as charts
from zoo.errors import ZooError
from zoo_leaderboard.charts import line, pareto, published, sweep, template, theme
from zoo_leaderboard.charts.place import CROWD, WIDTH, along, around, overlap, place
from zoo_leaderboard.read import board

HOSTILE = "</script><script>alert(1)</script>\u202eabc"
COSTS = ("params", "train_tokens_per_s", "peak_memory_bytes", "time_exponent")


def row(label: str, mean: float | None, family: str = "ssm", **more: Any) -> dict[str, Any]:
    """A row of the document; what a chart does not read is left out."""
    half = None if mean is None else 0.02
    return {
        "label": label,
        "family": family,
        "mean": mean,
        "low": None if mean is None or half is None else mean - half,
        "high": None if mean is None or half is None else mean + half,
        **dict.fromkeys(COSTS),
        "curve": [],
        "losses": [],
        "validated": [],
        "sweep": [],
        **more,
    }


def document(rows: list[dict[str, Any]], **track: Any) -> dict[str, Any]:
    """A board of one track."""
    columns = [
        {"key": key, "title": key, "unit": "", "less": key != "train_tokens_per_s"}
        | {"by_length": False}
        for key in COSTS
    ]
    one = {
        "track": "t1",
        "task": "lra/listops",
        "protocol": "zoo",
        "budget": "cpu",
        "device": "cpu: 2 cores",
        "precision": "fp32",
        "headline": "accuracy",
        "note": "",
        "higher_is_better": True,
        "chance": 0.1,
        "trained_to": 8,
        "lengths": {},
        "rows": rows,
        **track,
    }
    return {"columns": columns, "tracks": [one], "profiles": [], "published": {}}


def rich() -> dict[str, Any]:
    """Everything that a chart can show."""
    curve = [{"length": n, "mean": 0.9 - n / 99, "low": 0.1, "high": 0.95} for n in (8, 16, 32)]
    losses = [{"step": n, "loss": 2 / n, "low": 1 / n, "high": 3 / n} for n in (1, 10, 100)]
    valid = [{"step": n, "mean": n / 200, "low": None, "high": None} for n in (1, 10, 100)]
    rates: list[Any] = [
        {"lr": lr, "valid": value, "mean": None, "chosen": lr == 1e-3, "good": value > 0.4}
        for lr, value in ((1e-4, 0.3), (1e-3, 0.5), (3e-3, 0.49), (1e-2, 0.1))
    ]
    more: dict[str, Any] = {"curve": curve, "losses": losses, "validated": valid, "sweep": rates}
    whole = document(
        [
            row(HOSTILE, 0.5, params=100, train_tokens_per_s=9e3, time_exponent=1.1, **more)
            | {"time_exponent_low": 1.0, "time_exponent_high": 1.2},
            row("s4", 0.6, "attention", params=1000, train_tokens_per_s=5e3, **more),
            row("late", 0.4, "attention", params=1000, train_tokens_per_s=1e3),
            row("failed", None, params=50),
        ],
        note="smoke: not a result",
    )
    ours = {"track": "t1", "label": "s4", "mean": 0.6, "comparable": False, "because": "budget"}
    one = {"model": "S4", "task": "lra/listops", "metric": "accuracy", "value": 0.596}
    other = {"model": "S5", "task": "lra/listops", "metric": "accuracy", "value": None}
    whole["published"] = {
        "rows": [
            {**one, "spread": 0.01, "source": "gu-2022", "ours": [ours]},
            {**other, "spread": None, "source": "smith-2023", "ours": []},
        ],
        "curves": [
            {"model": "S4", "task": "lra/listops"}
            | {"points": [{"length": 8, "value": 0.5}, {"length": 10**6, "value": 0.1}]}
        ],
    }
    return whole


def test_every_chart_is_drawn_without_a_browser_and_holds_names_as_text() -> None:
    made = dict(charts.drawn(rich()))
    kinds = {re.sub("^(lra-listops-zoo-cpu-t1|published-lra-listops)-", "", stem) for stem in made}
    assert kinds == {
        "pareto-train_tokens_per_s", "pareto-params", "length", "losses", "validated", "sweep",
        "accuracy",
    }  # fmt: skip
    for stem, spec in made.items():
        assert "use" not in re.findall(r'"(use|define)":', json.dumps(spec)), stem
        svg = vl_convert.vegalite_to_svg(spec)
        tree = ElementTree.fromstring(svg)  # well formed, whatever the names are
        assert not [one for one in tree.iter() if one.tag.endswith("script")], stem
        words = {one.text for one in tree.iter() if one.tag.endswith("text")}
        assert stem.startswith("published") or "smoke: not a result" in words, stem


def test_pareto_points_are_the_rows_with_both_values_and_the_front_is_right() -> None:
    whole = rich()
    spec = pareto.chart(whole, whole["tracks"][0], "train_tokens_per_s")
    assert spec is not None
    points = {one["label"]: one for one in spec["datasets"]["points"]}
    assert {name: (one["x"], one["y"]) for name, one in points.items()} == {
        HOSTILE: (9e3, 0.5), "s4": (5e3, 0.6), "late": (1e3, 0.4),
    }  # fmt: skip
    assert {name for name, one in points.items() if one["front"]} == {HOSTILE, "s4"}
    assert all(one["shown"] for one in points.values())


def test_the_step_turns_with_the_direction_of_the_cost() -> None:
    whole = rich()
    found = {}
    for key in ("params", "train_tokens_per_s"):
        spec = pareto.chart(whole, whole["tracks"][0], key)
        assert spec is not None
        (step,) = [one["mark"] for one in spec["layer"] if "interpolate" in one["mark"]]
        found[key] = step["interpolate"]
    assert found == {"params": "step-after", "train_tokens_per_s": "step-before"}


def test_an_interval_of_a_cost_is_drawn_along_its_axis() -> None:
    whole = rich()
    spec = pareto.chart(whole, whole["tracks"][0], "time_exponent")
    assert spec is not None
    (point,) = spec["datasets"]["points"]
    assert (point["xlow"], point["xhigh"]) == (1.0, 1.2)


def test_no_value_no_chart() -> None:
    whole = document([row("a", None, params=3), row("b", 0.5)])
    (track,) = whole["tracks"]
    assert pareto.chart(whole, track, "params") is None
    assert line.length(whole, track) is None
    assert line.losses(whole, track) is None
    assert sweep.sweep(whole, track) is None
    assert dict(charts.drawn(whole)) == {}


def test_a_scale_of_logarithms_only_where_all_values_have_one() -> None:
    whole = document([row("a", 0.4, params=0), row("b", 0.5, params=10)])
    spec = pareto.chart(whole, whole["tracks"][0], "params")
    assert spec is not None
    assert len(spec["datasets"]["points"]) == 2
    assert '"log"' not in json.dumps(spec["layer"])


def test_chance_far_from_every_row_leaves_the_chart() -> None:
    whole = rich()
    spec = pareto.chart(whole, {**whole["tracks"][0], "chance": 0.35}, "params")
    far = pareto.chart(whole, {**whole["tracks"][0], "chance": -3.0}, "params")
    assert spec is not None
    assert far is not None
    assert spec["datasets"]["chance_y"] == [{"value": 0.35, "text": "chance"}]
    assert far["datasets"]["chance_y"] == []


def test_published_curves_stand_beside_ours_as_far_as_ours_go() -> None:
    whole = rich()
    spec = line.length(whole, whole["tracks"][0])
    assert spec is not None
    assert spec["datasets"]["published"] == [{"label": "S4 (published)", "x": 8, "y": 0.5}]
    assert spec["datasets"]["trained"] == [{"value": 8, "text": "trained to here"}]


def test_the_window_of_good_rates_stops_at_the_first_bad_one() -> None:
    rates: list[Any] = [
        {"lr": lr, "valid": 0.5, "chosen": lr == 1, "good": good}
        for lr, good in ((0.01, True), (0.1, False), (1, True), (10, True), (100, False))
    ]
    (window,) = sweep.window(row("a", 0.5, sweep=rates))
    assert (window["from"], window["to"]) == (1, 10)


def test_published_chart_pairs_each_line_with_ours() -> None:
    whole = rich()
    spec = published.chart(whole, "lra/listops", "accuracy")
    assert spec is not None
    (theirs,) = spec["datasets"]["theirs"]
    assert (theirs["x"], theirs["low"], theirs["high"]) == (0.596, 0.586, 0.606)
    (ours,) = spec["datasets"]["ours"]
    assert (ours["line"], ours["x"], ours["comparable"]) == ("S4 · gu-2022", 0.6, False)


def test_only_as_many_lines_as_can_be_told_apart() -> None:
    curve = [{"length": n, "mean": 0.5, "low": None, "high": None} for n in (8, 16)]
    rows = [row(f"m{i}", 0.5, family=f"f{i % 3}", curve=curve) for i in range(40)]
    whole = document(rows)
    spec = line.length(whole, whole["tracks"][0])
    assert spec is not None
    labels = {one["label"] for one in spec["datasets"]["points"]}
    assert labels == {f"m{i}" for i in range(line.MOST)}
    colours, dashes = theme.lines(rows[: line.MOST], ["f0", "f1", "f2"])
    assert len(set(zip(colours, map(tuple, dashes), strict=True))) == line.MOST


def test_few_rows_of_a_family_take_its_colour() -> None:
    rows = [row("a", 0.5, "x"), row("b", 0.5, "x"), row("c", 0.5, "y")]
    colours, dashes = theme.lines(rows, ["x", "y"])
    assert colours == [theme.LIGHT[0], theme.LIGHT[0], theme.LIGHT[1]]
    assert dashes[0] == dashes[2] != dashes[1]


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("palette", "paper"), [(theme.LIGHT, "#fcfcfa"), (theme.DARK, "#14171a")])
def test_colours_stand_out_as_marks_must(palette: tuple[str, ...], paper: str) -> None:
    for colour in palette:
        dark, light = sorted((luminance(colour), luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) >= 3, colour  # WCAG 1.4.11


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1)), min_size=1, max_size=80))
def test_names_never_cover_each_other_or_a_point(values: list[tuple[float, float]]) -> None:
    size = (640, 340)
    points: list[dict[str, Any]] = [
        {"x": x, "y": y, "name": "name" * (i % 9), "front": i % 4 == 0, "shown": False}
        for i, (x, y) in enumerate(values)
    ]
    across = pareto.room([x for x, _ in values], True, 0.09)
    upright = pareto.room([y for _, y in values], False, 0.06)
    place(points, across, upright, size, True, up=True)
    spots = [
        (along(one["x"], across, True) * size[0], (1 - along(one["y"], upright, False)) * size[1])
        for one in points
    ]
    boxes = [
        around(spot, min(WIDTH, 6.2 * len(one["name"])), one["align"], one["dx"], one["dy"])
        for spot, one in zip(spots, points, strict=True)
        if one["shown"]
    ]
    dots = [(x - 5, x + 5, y - 5, y + 5) for x, y in spots]
    for i, box in enumerate(boxes):
        assert not any(overlap(box, other) for other in [*boxes[:i], *dots])


def test_a_use_is_replaced_wherever_it_stands() -> None:
    shape = template.template({"x": {"field": "x"}}, [{"a": [{"use": "x", "title": None}]}], ("p",))
    made = template.fill(shape, {"x": {"scale": 1}}, {"p": [{"v": 1}]})
    assert made["layer"] == [{"a": [{"field": "x", "scale": 1, "title": None}]}]
    assert made["datasets"] == {"p": [{"v": 1}]}
    assert shape["define"] == {"x": {"field": "x"}}  # left as it was


def test_every_chart_is_written_as_svg_and_png(put: Any, runs: Path) -> None:
    for seed in range(2):
        put(0.5 + seed / 10, mixer="rwkv", seed=seed, curve={8: 0.9, 16: 0.5})
    folder = runs / "new" / "charts"
    written = charts.save(board(runs), folder)
    assert sorted(folder.iterdir()) == sorted(written)
    assert {path.stem for path in written} == {stem for stem, _ in charts.charts(board(runs))}
    for path in written:
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else start.startswith(b"<svg")


def test_a_folder_that_cannot_be_written_to_is_named(put: Any, runs: Path, tmp_path: Path) -> None:
    put(0.5)
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(ZooError, match=r"--charts .*file"):
        charts.save(board(runs), place)


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    whole = document([row("a", 0.5, params=3), row("b", 0.6, params=9)], task="../../etc/x\n")
    (stem,) = dict(charts.drawn(whole))
    assert re.fullmatch(r"[\w-]+", stem)


def test_names_as_long_as_they_come_make_files_of_their_own() -> None:
    stems = [charts.safe("long " * 400, end) for end in ("a", "b")]
    assert len(set(stems)) == 2
    assert all(len(f"{stem}.svg") < 200 for stem in stems)


def test_rows_that_all_tie_do_not_all_get_names() -> None:
    points: list[dict[str, Any]] = [
        {"x": 10.0 + i, "y": i / 3000, "name": "n", "front": True, "shown": False}
        for i in range(3000)
    ]
    place(points, [1, 4000], [0, 1], (640, 340), True, up=True)
    assert 0 < sum(one["shown"] for one in points) <= CROWD
