"""Charts of a group: cost against length beside what theory says, as Vega-Lite with its data."""

from collections.abc import Sequence
from pathlib import Path

from zoo.profile.marks import (
    DOT,
    LOG,
    Row,
    Spec,
    axis,
    colour,
    dash,
    framed,
    shape,
    told,
    tooltip,
)
from zoo.profile.roofline import roofline
from zoo.profile.theory import analytic, closed, curves

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
    edges = (
        0.7 * min(v["low"] or v["value"] for v in values),
        2.0 * max(v["high"] for v in values),
    )
    x = axis("length", "length n", [p["length"] for r in group["rows"] for p in r["points"]])
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
