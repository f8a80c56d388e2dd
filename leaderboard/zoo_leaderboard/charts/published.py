"""Published values (hollow) beside ours (filled): one line for each published row of a task."""

from zoo_leaderboard.charts.template import colour_scale, fill, template, use
from zoo_leaderboard.charts.theme import Spec, colour, families

STEP = 18


def shape() -> Spec:
    """Datasets: theirs (line, x, low, high) and ours (line, x, low, high, family, comparable)."""
    x, y = use("x"), use("y")
    whisker = {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6}
    ends = {"x": use("x", field="low"), "x2": {"field": "high"}, "y": y}
    point = {"type": "point", "size": 80, "opacity": 1, "tooltip": {"content": "data"}}
    sure = {"condition": {"test": "datum.comparable", "value": 1}, "value": 0.55}
    spread = [{"filter": "isValid(datum.low)"}]
    layer: list[Spec] = [
        {
            "data": {"name": "theirs"},
            "transform": spread,
            "mark": {**whisker, "color": use("soft")},
            "encoding": ends,
        },
        {
            "data": {"name": "ours"},
            "transform": spread,
            "mark": {**whisker, "strokeWidth": 3, "opacity": 0.35},
            "encoding": {**ends, "color": use("color")},
        },
        {
            "data": {"name": "theirs"},
            "mark": {**point, "filled": False, "color": use("ink")},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"name": "ours"},
            "mark": {**point, "filled": True, "shape": "diamond", "size": 120, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y, "color": use("color"), "fillOpacity": sure},
        },
    ]
    define = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "scale": {"zero": False, "padding": 16},
            "axis": {"orient": "top"},
        },
        "y": {
            "field": "line",
            "type": "nominal",
            "title": None,
            "sort": None,
            "axis": {"grid": True, "ticks": False, "domain": False, "labelLimit": 280},
        },
        "color": {
            "field": "family",
            "type": "nominal",
            "title": "ours, by family",
            "legend": {"orient": "bottom", "symbolType": "diamond", "symbolOpacity": 1},
        },
    }
    return template(define, layer, ("theirs", "ours"))


def tasks(document: Spec) -> list[tuple[str, str]]:
    """Every task and metric that ours stand beside, in the order of the data; the page has all."""
    rows = document["published"].get("rows", ())
    return list(dict.fromkeys((row["task"], row["metric"]) for row in rows if row["ours"]))


def chart(document: Spec, task: str, metric: str) -> Spec | None:
    """Best first by the published value; None where no value is a number."""
    every = document["published"].get("rows", ())
    rows = [row for row in every if (row["task"], row["metric"]) == (task, metric)]
    rows = [row for row in rows if row["value"] is not None]
    if not rows:
        return None
    rows.sort(key=lambda row: -float(row["value"]))
    known = {(one["track"], row["label"]): row for one in document["tracks"] for row in one["rows"]}
    theirs = [{"line": line(row), "x": row["value"], **whiskers(row)} for row in rows]
    ours = []
    for row in rows:
        for one in row["ours"]:
            mine = known.get((one["track"], one["label"]))
            if mine and mine["mean"] is not None:
                at = {
                    "line": line(row),
                    "x": mine["mean"],
                    "low": mine["low"],
                    "high": mine["high"],
                }
                ours.append({**at, "family": mine["family"], "comparable": one["comparable"]})
    among = sorted({one["family"] for one in ours})
    define = {
        "x": {"title": metric},
        "y": {"scale": {"domain": [one["line"] for one in theirs]}},
        "color": colour_scale(among, [colour(one, families(document)) for one in among]),
    }
    return {**fill(shape(), define, {"theirs": theirs, "ours": ours}), "height": {"step": STEP}}


def line(row: Spec) -> str:
    """`S4 · gu-2022`: one model may be published more than once."""
    return f"{row['model']} · {row['source']}"


def whiskers(row: Spec) -> Spec:
    """The printed spread to both sides; none where none is printed."""
    if row["spread"] is None:
        return {"low": None, "high": None}
    return {"low": row["value"] - row["spread"], "high": row["value"] + row["spread"]}
