"""A chart's shape without its data: made once here, filled here for a file and on the page again.

A template is a Vega-Lite spec whose datasets are empty and in which ``{"use": NAME, ...}`` stands
for what ``define`` holds under that name (with the other keys on top). So the page changes an axis
in one place, and a board of thousands of rows carries each shape once.
"""

from collections.abc import Mapping
from typing import Any

from zoo_leaderboard.charts.theme import INK, PAPER, SOFT, Spec

COLOURS: Spec = {"ink": INK, "soft": SOFT, "paper": PAPER}


def template(define: Spec, layer: list[Spec], datasets: tuple[str, ...]) -> Spec:
    """A layered chart; ``define`` holds its axes, which whoever fills it may replace."""
    return {
        "define": define,
        "datasets": {name: [] for name in datasets},
        "layer": layer,
    }


def fill(shape: Spec, define: Mapping[str, Any], datasets: Mapping[str, list[Spec]]) -> Spec:
    """The chart itself, in the colours of paper; the same as ``fill`` in pareto.js."""
    merged: Spec = {**shape["define"], **COLOURS}
    for name, value in define.items():
        old = merged.get(name)
        merged[name] = {**old, **value} if isinstance(old, dict) else value
    layer = [resolve(one, merged) for one in shape["layer"]]
    return {"datasets": {**shape["datasets"], **datasets}, "layer": layer}


def resolve(value: Any, define: Mapping[str, Any]) -> Any:
    """With every ``use`` replaced."""
    if isinstance(value, list):
        return [resolve(one, define) for one in value]
    if not isinstance(value, dict):
        return value
    own = {key: resolve(one, define) for key, one in value.items() if key != "use"}
    if "use" not in value:
        return own
    meant = define[value["use"]]
    return {**meant, **own} if isinstance(meant, dict) else meant


def use(name: str, **more: Any) -> Spec:
    """A place for what ``define`` holds."""
    return {"use": name, **more}


def rule(data: str, axis: str, place: Spec) -> list[Spec]:
    """A dashed line across the chart with its name, one for each of ``data`` (value, text)."""
    channel = use(axis, field="value")
    line = {"type": "rule", "strokeDash": [4, 4], "color": use("soft")}
    text = {"type": "text", "align": "left", "fontSize": 11, "color": use("soft"), **place}
    source = {"name": data}
    return [
        {"data": source, "mark": line, "encoding": {axis: channel}},
        {"data": source, "mark": text, "encoding": {axis: channel, "text": {"field": "text"}}},
    ]


def colour_scale(domain: list[str], colours: list[str]) -> Spec:
    """For ``define``: a colour for each name."""
    return {"scale": {"domain": domain, "range": colours}}
