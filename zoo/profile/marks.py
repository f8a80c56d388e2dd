"""What the charts of a profile share: channels by row, axes, and the frame around them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Row = Mapping[str, Any]

COLOURS = (
    *("#0b6aa8", "#c8561b", "#2a8a68", "#a34d8d", "#8a6d00", "#4457c0"),
    *("#b3303f", "#5f6b76", "#0e7c86", "#7a4b2a", "#6b7f1d", "#8a3fc0"),
)
"""One a family; those of the leaderboard."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3])
"""One a row of a mixer, which as a rule is a kernel."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
GREY = "#888888"
LOG: Spec = {"type": "log", "nice": False}
DOT: Spec = {"type": "point", "filled": True, "size": 45, "opacity": 1}


def told(row: Row) -> Row:
    """What a mark says of its row."""
    return {"label": row["label"], "family": row["family"], "kernel": row["kernel"]}


def axis(field: str, title: str, lengths: Sequence[int]) -> Spec:
    """Lengths by powers of two."""
    marks = sorted(set(lengths))
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "base": 2, "nice": False},
        "axis": {"values": marks, "grid": False, "format": "d", "labelOverlap": "greedy"},
    }


def tooltip(*fields: str) -> list[Spec]:
    """What is shown under the pointer."""
    numbers = ("length", "value", "low", "high", "intensity", "achieved")
    return [
        {"field": field, "type": "quantitative", "format": ",.4~g"}
        if field in numbers
        else {"field": field, "type": "nominal"}
        for field in fields
    ]


def colour(group: Row) -> Spec:
    """By label, those of one family alike: one legend then shows colour and shape."""
    families = group["families"]
    places = [families.index(row["family"]) for row in group["rows"]]
    return by_label(group, [COLOURS[i % len(COLOURS)] for i in places])


def dash(group: Row) -> Spec:
    """By kernel: a mixer's first is a full line."""
    places = place(group, lambda row: str(row["mixer"]))
    return by_label(group, [DASHES[i % len(DASHES)] for i in places])


def shape(group: Row) -> Spec:
    """By its place in the family, so that lines of a colour are told apart."""
    places = place(group, lambda row: str(row["family"]))
    return by_label(group, [SHAPES[i % len(SHAPES)] for i in places])


def place(group: Row, key: Callable[[Row], str]) -> list[int]:
    """Of each row, how many before it have the same key."""
    keys = [key(row) for row in group["rows"]]
    return [keys[:i].count(one) for i, one in enumerate(keys)]


def by_label(group: Row, marks: Sequence[Any]) -> Spec:
    """A channel whose range is given label by label."""
    labels = [row["label"] for row in group["rows"]]
    guide: Spec = {"orient": "right", "title": None, "labelLimit": 260}
    guide |= {"symbolSize": 120, "symbolOpacity": 1}
    scale = {"domain": labels, "range": list(marks)}
    return {"field": "label", "type": "nominal", "title": None, "scale": scale, "legend": guide}


def framed(
    group: Row, title: str, formula: str | None, values: Sequence[Row], layer: Sequence[Spec]
) -> Spec:
    """The whole chart, with the formula under its title."""
    what = "mixer alone" if group["subject"] == "mixer" else f"model of {group['task']}"
    words = f"{what}, d = {group['dim']}, b = {group['batch']}, {group['direction']}, "
    words += f"{group['precision']}, {group['device']}"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {
            "text": title,
            "subtitle": [words, *([formula] if formula else [])],
            "anchor": "start",
            "subtitleColor": GREY,
        },
        "width": 560,
        "height": 340,
        "data": {"values": list(values)},
        "layer": list(layer),
    }
