"""The validation score at every learning rate that was tried: how wide the good window is."""

from zoo_leaderboard.charts.line import LEGEND, MOST, looks
from zoo_leaderboard.charts.template import fill, template, use
from zoo_leaderboard.charts.theme import Spec


def shape() -> Spec:
    """Datasets: points (label, x, y, chosen, good) and windows (label, y, from, to)."""
    x, y, color = use("x"), use("y"), use("color")
    name = {"field": "label", "type": "nominal", "title": None}
    ring = {"type": "point", "size": 190, "strokeWidth": 2, "filled": False, "opacity": 1}
    dot = {"type": "point", "size": 60, "opacity": 1, "tooltip": {"content": "data"}}
    window = {"type": "bar", "height": 12, "opacity": 0.16, "cornerRadius": 6}
    points = {"data": {"name": "points"}}
    layer: list[Spec] = [
        {
            "data": {"name": "windows"},
            "mark": window,
            "encoding": {
                "x": use("x", field="from"),
                "x2": {"field": "to"},
                "y": y,
                "color": color,
            },
        },
        {
            **points,
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": color, "strokeDash": use("dash")},
        },
        {
            **points,
            "transform": [{"filter": "datum.chosen"}],
            "mark": ring,
            "encoding": {"x": x, "y": y, "color": color},
        },
        {
            **points,
            "mark": {**dot, "filled": True, "stroke": use("paper"), "strokeWidth": 1},
            "encoding": {"x": x, "y": y, "color": color},
        },
    ]
    scale = {"type": "log", "nice": False, "padding": 20}
    define = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "title": "learning rate",
            "scale": scale,
            "axis": {"format": "~g", "grid": False, "labelOverlap": True},
        },
        "y": {"field": "y", "type": "quantitative", "scale": {"zero": False, "padding": 14}},
        "color": {**name, "legend": LEGEND},
        "dash": name,
    }
    return template(define, layer, ("points", "windows"))


def sweep(document: Spec, track: Spec) -> Spec | None:
    """A line a row, the chosen rate ringed, its good window shaded; None without a sweep."""
    rows = [row for row in track["rows"] if len(row["sweep"]) > 1][:MOST]
    if not rows:
        return None
    points = [
        {"label": row["label"], "x": one["lr"], "y": one["valid"]}
        | {key: one[key] for key in ("chosen", "good")}
        for row in rows
        for one in row["sweep"]
        if one["valid"] is not None and one["lr"] > 0
    ]
    rates = sorted({one["x"] for one in points})
    axis = {"values": rates, "format": "~g", "grid": False, "labelOverlap": True}
    title = {"title": f"{track['headline']} on validation"}
    define = {"x": {"axis": axis}, "y": title, **looks(document, rows)}
    windows = [found for row in rows for found in window(row)]
    return fill(shape(), define, {"points": points, "windows": windows})


def window(row: Spec) -> list[Spec]:
    """The good rates around the chosen one without a gap, at the height of the chosen."""
    rates = sorted((one for one in row["sweep"] if one["lr"] > 0), key=lambda one: float(one["lr"]))
    at = next((i for i, one in enumerate(rates) if one["chosen"]), None)
    if at is None or rates[at]["valid"] is None:
        return []
    first, last = at, at
    while first > 0 and rates[first - 1]["good"]:
        first -= 1
    while last + 1 < len(rates) and rates[last + 1]["good"]:
        last += 1
    ends = {"from": rates[first]["lr"], "to": rates[last]["lr"]}
    return [{"label": row["label"], "y": rates[at]["valid"], **ends}]
