"""The score against the length, as a Vega-Lite chart: who extrapolates, and how far."""

from typing import Any

from zoo_leaderboard.track import Track

COLOURS = ("#0b6aa8", "#c8561b", "#2a8a68", "#a34d8d", "#8a6d00", "#4457c0", "#b3303f", "#5f6b76")
DASHES = ([1, 0], [6, 3], [2, 2])
"""Lines beyond as many as there are colours are told apart by these."""


def chart(track: Track) -> dict[str, Any] | None:
    """A line a row with its 95 % band, a rule where training ends; None without a curve."""
    if not track.curve_lengths:
        return None
    rows = [row for _, row in track.ranking if row.curve]
    labels = [row.label for row in rows]
    values = [
        {"label": row.label, "length": length, "mean": one.mean, "low": low, "high": high}
        for row in rows
        for length, one in row.curve.items()
        for low, high in [one.interval or (one.mean, one.mean)]
    ]
    x = {
        "field": "length",
        "type": "quantitative",
        "title": "length",
        "scale": {"type": "log", "base": 2, "nice": False},
        "axis": {"values": list(track.curve_lengths), "grid": False, "format": "d"},
    }
    y = {"type": "quantitative", "title": track.key.headline, "scale": {"zero": False}}
    color = {
        "field": "label",
        "type": "nominal",
        "title": None,
        "scale": {"domain": labels, "range": spread(COLOURS, len(labels))},
        "legend": {
            "orient": "bottom",
            "columns": 3,
            "symbolType": "stroke",
            "symbolOpacity": 1,
            "symbolStrokeWidth": 3,
            "labelLimit": 240,
        },
    }
    dash = {
        "field": "label",
        "type": "nominal",
        "title": None,
        "scale": {"domain": labels, "range": slow(DASHES, len(labels), len(COLOURS))},
    }
    layer: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "opacity": 0.12},
            "encoding": {
                "x": x,
                "y": {**y, "field": "low"},
                "y2": {"field": "high"},
                "color": color,
            },
        },
        {
            "mark": {"type": "line", "point": {"size": 45}, "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "mean"}, "color": color, "strokeDash": dash},
        },
    ]
    rules: list[tuple[str, str, dict[str, Any], float | None, str]] = [
        ("length", "x", x, track.trained_to, "trained to here"),
        ("mean", "y", y, track.chance, "chance"),
    ]
    for field, axis, channel, at, text in rules:
        if at is None:
            continue
        data = {"values": [{field: at, "text": text}]}
        encoding = {axis: {**channel, "field": field}}
        layer.append(
            {
                "data": data,
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "#888"},
                "encoding": encoding,
            }
        )
        where = {"y": 8, "dx": 5} if axis == "x" else {"x": 4, "dy": -7}
        mark = {"type": "text", "align": "left", "fontSize": 11, "color": "#888", **where}
        layer.append(
            {"data": data, "mark": mark, "encoding": {**encoding, "text": {"field": "text"}}}
        )
    return {"data": {"name": "curve", "values": values}, "layer": layer}


def spread(items: tuple[str, ...], count: int) -> list[str]:
    """``count`` of them, over and over."""
    return [items[i % len(items)] for i in range(count)]


def slow(items: tuple[list[int], ...], count: int, every: int) -> list[list[int]]:
    """``count`` of them, the next after ``every``."""
    return [items[i // every % len(items)] for i in range(count)]
