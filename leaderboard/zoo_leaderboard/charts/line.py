"""A line for each row with its band: score by length, and loss and score while training."""

from collections.abc import Sequence
from typing import Any

from zoo_leaderboard.charts.template import colour_scale, fill, rule, template, use
from zoo_leaderboard.charts.theme import Spec, families, lines

MOST = 12
"""More lines than this cannot be told apart: the best rows are drawn."""
LEGEND = {
    "orient": "bottom",
    "columns": 3,
    "symbolType": "stroke",
    "symbolOpacity": 1,
    "symbolStrokeWidth": 3,
    "labelLimit": 240,
}


def shape(points: bool) -> Spec:
    """Datasets: points (label, x, y, low, high), chance and trained (value, text)."""
    x, y, color, dash = use("x"), use("y"), use("color"), use("dash")
    band = {"x": x, "y": use("y", field="low"), "y2": {"field": "high"}, "color": color}
    line: Spec = {"type": "line", "strokeWidth": 2}
    if points:
        line["point"] = {"size": 45, "filled": True}
    layer: list[Spec] = [
        *rule("trained", "x", {"y": -7, "dx": -4}),
        *rule("chance", "y", {"x": 4, "dy": -7}),
        {"data": {"name": "points"}, "mark": {"type": "area", "opacity": 0.12}, "encoding": band},
        {
            "data": {"name": "published"},
            "mark": {"type": "line", "strokeWidth": 1.5, "strokeDash": [2, 3], "color": use("soft")}
            | {"point": {"filled": False, "size": 45, "color": use("soft")}},
            "encoding": {"x": x, "y": y, "detail": {"field": "label"}},
        },
        {
            "data": {"name": "points"},
            "mark": {**line, "tooltip": {"content": "data"}},
            "encoding": {"x": x, "y": y, "color": color, "strokeDash": dash},
        },
    ]
    name = {"field": "label", "type": "nominal", "title": None}
    axis = {"grid": False} if points else {"grid": False, "format": "~s"}  # 1.5k steps
    define = {
        "x": {"field": "x", "type": "quantitative", "axis": axis},
        "y": {"field": "y", "type": "quantitative", "scale": {"zero": False}},
        "color": {**name, "legend": LEGEND},
        "dash": name,
    }
    return template(define, layer, ("points", "published", "chance", "trained"))


def length(document: Spec, track: Spec) -> Spec | None:
    """The score at every length tested: who extrapolates, and how far; None without a curve."""
    rows = best(track, "curve")
    grid = sorted({one["length"] for row in rows for one in row["curve"]})
    if len(grid) < 2:
        return None
    x = {
        "title": "length",
        "scale": {"type": "log", "base": 2, "nice": False},
        "axis": {"values": grid, "grid": False, "format": "d", "labelOverlap": True},
    }
    trained = [{"value": track["trained_to"], "text": "trained to here"}]
    define = {"x": x, "y": {"title": track["headline"]}, **looks(document, rows)}
    data = {
        "points": points(rows, "curve", "length", "mean"),
        "chance": chance(track),
        "trained": trained if track["trained_to"] is not None else [],
        "published": published(document, track, grid),
    }
    return fill(shape(points=True), define, data)


def losses(document: Spec, track: Spec) -> Spec | None:
    """The training loss by step; None where no run kept it."""
    return training(document, track, "losses", "loss", "training loss")


def validated(document: Spec, track: Spec) -> Spec | None:
    """The headline on the validation split by step; None where no run kept it."""
    made = training(document, track, "validated", "mean", f"{track['headline']} on validation")
    if made:
        made["datasets"]["chance"] = chance(track)
    return made


def training(document: Spec, track: Spec, key: str, value: str, title: str) -> Spec | None:
    """By step; the band goes from the least to the greatest of the seeds."""
    rows = best(track, key)
    if not rows:
        return None
    x = {"title": "step", "axis": {"format": ",f", "grid": False, "labelOverlap": True}}
    define = {"x": x, "y": {"title": title}, **looks(document, rows)}
    return fill(shape(points=False), define, {"points": points(rows, key, "step", value)})


def best(track: Spec, key: str) -> list[Spec]:
    """The rows, best first, that have such a curve; no more than can be told apart."""
    return [row for row in track["rows"] if len(row[key]) > 1][:MOST]


def points(rows: Sequence[Spec], key: str, x: str, y: str) -> list[Spec]:
    """Every point of every row; without an interval the band has no height."""
    return [
        {"label": row["label"], "x": one[x], "y": one[y], **band(one, y)}
        for row in rows
        for one in row[key]
        if one[y] is not None
    ]


def band(one: Spec, y: str) -> Spec:
    """The ends of the interval, or the point itself."""
    return {key: one[y] if one[key] is None else one[key] for key in ("low", "high")}


def chance(track: Spec) -> list[Spec]:
    """The rule at what guessing scores."""
    return [] if track["chance"] is None else [{"value": track["chance"], "text": "chance"}]


def published(document: Spec, track: Spec, grid: Sequence[int]) -> list[Spec]:
    """Curves from the literature on the same task, as far as our lengths go."""
    found = [one for one in document["published"].get("curves", ()) if one["task"] == track["task"]]
    return [
        {"label": f"{one['model']} (published)", "x": at["length"], "y": at["value"]}
        for one in found
        for at in one["points"]
        if at["value"] is not None and grid[0] <= at["length"] <= grid[-1]
    ]


def looks(document: Spec, rows: Sequence[Spec]) -> dict[str, Any]:
    """Colours and dashes, for ``define``."""
    labels = [row["label"] for row in rows]
    colours, dashes = lines(rows, families(document))
    return {
        "color": colour_scale(labels, colours),
        "dash": {"scale": {"domain": labels, "range": dashes}},
    }
