"""Charts of a group: cost against length beside what theory says, as Vega-Lite with its data."""

from collections.abc import Callable, Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

Spec = dict[str, Any]
Row = Mapping[str, Any]

COLOURS = (
    *("#0b6aa8", "#c8561b", "#2a8a68", "#a34d8d", "#8a6d00", "#4457c0"),
    *("#b3303f", "#5f6b76", "#0e7c86", "#7a4b2a", "#6b7f1d", "#8a3fc0"),
)
"""One a family; those of the leaderboard."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3])
"""One a mixer of a family, and one a kernel of it."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
GREY = "#888888"
ANALYTIC: Mapping[str, Callable[[float], float]] = {
    "O(n)": lambda n: n,
    "O(n log n)": lambda n: n * log2(n),
    "O(n²)": lambda n: n * n,
}
LOST = ("oom", "slow")
MIB = 2**20


def charts(group: Row, families: Sequence[str] = ()) -> dict[str, Spec]:
    """Name -> chart, of what the group has figures for; ``families`` in the order in which they
    take their colours elsewhere on a page.
    """
    own = {row["family"] for row in group["rows"]}
    group = {**group, "families": [*families, *sorted(own.difference(families))]}
    found = {
        "time": lines(group, "forward_ms", "forward, ms", band=True),
        "training": lines(group, "train_ms", "forward and backward, ms", band=True),
        "decode": lines(group, "decode_ms", "one more token, ms", band=True, theory=False),
        "memory": lines(group, "forward_bytes", "peak memory of forward, MiB", unit=MIB),
        "state": lines(group, "state_bytes", "state, MiB", unit=MIB, theory=False),
        "roofline": roofline(group),
    }
    return {name: spec for name, spec in found.items() if spec is not None}


def lines(
    group: Row, field: str, title: str, *, unit: float = 1, band: bool = False, theory: bool = True
) -> Spec | None:
    """A line a row; what ran out of memory or time is a cross at the upper edge."""
    values = [
        {
            **told(row),
            "length": point["length"],
            "value": point[field] / unit,
            "low": point.get(f"{field}_low", point[field]) / unit,
            "high": point.get(f"{field}_high", point[field]) / unit,
        }
        for row in group["rows"]
        for point in row["points"]
        if point[field]
    ]
    if not values:
        return None
    edges = (0.7 * min(v["low"] for v in values), 2.0 * max(v["high"] for v in values))
    x = {**axis("length", "length n", [p["length"] for r in group["rows"] for p in r["points"]])}
    y: Spec = {"field": "value", "type": "quantitative", "title": title}
    y["scale"] = {**LOG, "domain": list(edges)}
    layer: list[Spec] = []
    extra, formula = analytic(group, field, values, unit) if theory else closed(group, field, unit)
    layer += curves([one for one in extra if edges[0] <= one["value"] <= edges[1]], x, y)
    style = {"color": colour(group), "strokeDash": dash(group), "shape": shape(group)}
    if band:
        quartiles = {
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "detail": {"field": "label"},
        }
        area = {"type": "area", "opacity": 0.15, "clip": True}
        layer.append({"mark": area, "encoding": {"x": x, **quartiles, "color": style["color"]}})
    tips = tooltip("label", "kernel", "length", "value", "low", "high")
    where = {"x": x, "y": y}
    line = {key: style[key] for key in ("color", "strokeDash")}
    dots = {key: style[key] for key in ("color", "shape")}
    layer.append({"mark": {"type": "line", "strokeWidth": 2}, "encoding": {**where, **line}})
    layer.append({"mark": DOT, "encoding": {**where, **dots, "tooltip": tips}})
    layer += crosses(group, field, x)
    return framed(group, title, formula, values, layer)


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
    guide = {"orient": "right", "title": None, "labelLimit": 260, "symbolSize": 120}
    scale = {"domain": labels, "range": list(marks)}
    return {"field": "label", "type": "nominal", "title": None, "scale": scale, "legend": guide}


def analytic(
    group: Row, field: str, values: Sequence[Row], unit: float
) -> tuple[list[Spec], str | None]:
    """O(n), O(n log n) and O(n²) through one anchor, and of memory the scores of an attention
    that keeps them, whose size is known.
    """
    lengths = sorted({value["length"] for value in values})
    first = lengths[0]
    anchor = min(value["value"] for value in values if value["length"] == first)
    span = [first * (lengths[-1] / first) ** (i / 40) for i in range(41)]
    found = [
        {"name": name, "length": n, "value": anchor * cost(n) / cost(first)}
        for name, cost in ANALYTIC.items()
        for n in span
    ]
    heads = head_count(group)
    if field != "forward_bytes" or heads is None:
        return found, "grey: O(n), O(n log n), O(n²) through the cheapest at the shortest length"
    width = 2 if group["precision"] == "bf16" else 4
    name = f"b·h·n²·{width} B"
    scores = width * group["batch"] * heads
    found += [{"name": name, "length": n, "value": scores * n * n / unit} for n in span]
    formula = f"{name}: the scores of attention, b = {group['batch']}, h = {heads}"
    return found, f"grey: O(n), O(n log n), O(n²) through the cheapest; {formula}"


def head_count(group: Row) -> int | None:
    """The heads of the first full attention among the rows."""
    for row in group["rows"]:
        heads = row["options"].get("heads")
        if row["complexity"] == "l^2" and isinstance(heads, int):
            return heads
    return None


def closed(group: Row, field: str, unit: float) -> tuple[list[Spec], str | None]:
    """Of the state the closed forms, in grey under what was measured."""
    if field != "state_bytes":
        return [], None
    found = [
        {"name": row["label"], "length": p["length"], "value": p["state_closed_form"] / unit}
        for row in group["rows"]
        for p in row["points"]
        if p["state_closed_form"]
    ]
    return found, "grey: closed forms; of attention 2·b·n·g·e numbers, of a recurrence a constant"


def curves(values: Sequence[Spec], x: Spec, y: Spec) -> list[Spec]:
    """Grey lines, each with its name at the end where it is one of theory's."""
    if not values:
        return []
    at = {"x": x, "y": y, "detail": {"field": "name", "type": "nominal"}}
    line = {"type": "line", "color": GREY, "strokeWidth": 1, "strokeDash": [3, 3], "clip": True}
    drawn: list[Spec] = [{"data": {"values": values}, "mark": line, "encoding": at}]
    ends = {
        value["name"]: value for value in values if "O" in value["name"] or "·" in value["name"]
    }
    text = {"type": "text", "align": "right", "dy": -6, "fontSize": 11, "color": GREY}
    names = {"x": x, "y": y, "text": {"field": "name"}}
    drawn.append({"data": {"values": list(ends.values())}, "mark": text, "encoding": names})
    return drawn


def crosses(group: Row, field: str, x: Spec) -> list[Spec]:
    """The first length of each row that ran out of memory or time, at the upper edge."""
    lost = []
    for row in group["rows"]:
        for point in row["points"]:
            miss = point["missing"].get(field)
            if miss and miss["kind"] in LOST:
                why = {"kind": miss["kind"], "reason": miss["reason"]}
                lost.append({**told(row), "length": point["length"], **why})
                break
    if not lost:
        return []
    cross = {"type": "point", "shape": "cross", "angle": 45, "size": 90, "filled": True}
    where = {"x": x, "y": {"value": 8}, "color": colour(group)}
    encoding = {**where, "tooltip": tooltip("label", "kernel", "length", "kind", "reason")}
    text = {"type": "text", "align": "right", "dx": -8, "fontSize": 10}
    words = {**where, "text": {"field": "kind"}}
    data = {"values": lost}
    return [
        {"data": data, "mark": cross, "encoding": encoding},
        {"data": data, "mark": text, "encoding": words},
    ]


def roofline(group: Row) -> Spec | None:
    """What was achieved at each intensity, under the measured roof (Williams et al. 2009).

    Intensity is over the bytes that operators moved one by one: what is fused can pass the slope.
    """
    values = [
        {
            **told(row),
            "length": point["length"],
            "intensity": point["intensity"],
            "achieved": point["flops"] / point["forward_ms"] / 1e6,
        }
        for row in group["rows"]
        for point in row["points"]
        if point["intensity"] and point["forward_ms"] and point["flops"]
    ]
    peak, slope = group["matmul_flops"], group["bandwidth"]
    if not values or not peak or not slope:
        return None
    ridge = peak / slope
    low = min(ridge / 4, *(value["intensity"] for value in values)) / 1.3
    high = max(ridge * 4, *(value["intensity"] for value in values)) * 1.3
    roof = [{"intensity": i, "achieved": min(peak, i * slope) / 1e9} for i in (low, ridge, high)]
    title = "FLOPs a byte moved"
    x = {"field": "intensity", "type": "quantitative", "title": title, "scale": LOG}
    y = {"field": "achieved", "type": "quantitative", "title": "GFLOP/s of forward", "scale": LOG}
    layer: list[Spec] = [
        {
            "data": {"values": roof},
            "mark": {"type": "line", "color": GREY, "strokeWidth": 2},
            "encoding": {"x": x, "y": y},
        },
        {
            "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.5},
            "encoding": {
                "x": x,
                "y": y,
                "color": colour(group),
                "detail": {"field": "label"},
                "order": {"field": "length"},
            },
        },
        {
            "mark": DOT,
            "encoding": {
                "x": x,
                "y": y,
                "color": colour(group),
                "shape": shape(group),
                "tooltip": tooltip("label", "kernel", "length", "intensity", "achieved"),
            },
        },
    ]
    formula = f"roof: min({peak / 1e9:,.0f} GFLOP/s, intensity · {slope / 1e9:,.1f} GB/s), measured"
    return framed(group, "GFLOP/s against intensity", formula, values, layer)


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


def save(groups: Sequence[Row], folder: Path) -> list[Path]:
    """SVG and PNG of every chart, without a browser; returns their paths."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, group in enumerate(groups):
        for name, spec in charts(group).items():
            stem = name if len(groups) == 1 else f"{name}-{number + 1}"
            svg, png = folder / f"{stem}.svg", folder / f"{stem}.png"
            svg.write_text(vl_convert.vegalite_to_svg(spec))
            png.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
            paths += [svg, png]
    return paths
