"""Quality against cost, any pair of axes: rows with intervals, and the front as a step line."""

from math import log10

from zoo_leaderboard.charts.place import WIDTH, place
from zoo_leaderboard.charts.template import colour_scale, fill, rule, template, use
from zoo_leaderboard.charts.theme import Spec, colour, families
from zoo_leaderboard.pareto import front

HEIGHT = 340
POINT = {"type": "point", "size": use("size"), "strokeWidth": 1.5, "opacity": 1}


def shape() -> Spec:
    """Datasets: points, published (hollow), chance_x and chance_y (value, text)."""
    x, y, color = use("x"), use("y"), use("color")
    steady = {"field": "family", "type": "nominal", "title": None}
    step = {"type": "line", "interpolate": use("step"), "strokeWidth": 1.5, "opacity": 0.7}
    bar = {"type": "rule", "strokeWidth": 1.5, "opacity": 0.45}
    halo = {"stroke": use("paper"), "strokeWidth": 3, "strokeJoin": "round"}
    text = {"type": "text", "baseline": "middle", "fontSize": 11.5, "limit": WIDTH}
    text |= {key: {"expr": f"datum.{key}"} for key in ("align", "dx", "dy")}
    ring = {"type": "point", "size": 260, "strokeWidth": 2, "color": use("ink")}
    layer: list[Spec] = [
        *rule("chance_y", "y", {"x": 4, "dy": -7}),
        *rule("chance_x", "x", {"y": -7, "dx": -4}),
        {
            **wanted("datum.front"),
            "mark": {**step, "color": use("soft")},
            "encoding": {"x": x, "y": y, "order": {"field": "x", "type": "quantitative"}},
        },
        {
            **wanted("isValid(datum.ylow)"),
            "mark": bar,
            "encoding": {"x": x, "y": use("y", field="ylow"), "y2": {"field": "yhigh"}}
            | {"color": color},
        },
        {
            **wanted("isValid(datum.xlow)"),
            "mark": bar,
            "encoding": {"y": y, "x": use("x", field="xlow"), "x2": {"field": "xhigh"}}
            | {"color": color},
        },
        {
            "data": {"name": "published"},
            "mark": {
                **POINT,
                "filled": False,
                "strokeDash": [2, 2],
                "tooltip": {"content": "data"},
            },
            "encoding": {"x": x, "y": y, "color": color},
        },
        {**wanted("datum.picked"), "mark": ring, "encoding": {"x": x, "y": y}},
        {
            "data": {"name": "points"},
            "mark": {
                **POINT,
                "filled": True,
                "stroke": use("paper"),
                "tooltip": {"content": "data"},
                "cursor": "pointer",
            },
            "encoding": {"x": x, "y": y, "color": color},
        },
        *(
            {
                **wanted("datum.shown"),
                "mark": {**text, "color": use("ink"), **edge},
                "encoding": {"x": x, "y": y, "text": {"field": "name"}},
            }
            for edge in (halo, {})
        ),
    ]
    define = {
        "x": {"field": "x", "type": "quantitative"},
        "y": {"field": "y", "type": "quantitative"},
        "color": {
            **steady,
            "legend": {"orient": "bottom", "symbolType": "circle", "symbolOpacity": 1},
        },
        "step": "step-after",
        "size": 95,
    }
    return template(define, layer, ("points", "published", "chance_x", "chance_y"))


def wanted(test: str) -> Spec:
    """The points for which it holds."""
    return {"data": {"name": "points"}, "transform": [{"filter": test}]}


def axes(document: Spec, track: Spec) -> dict[str, Spec]:
    """What may stand on an axis, the score included: key, title, unit, less, by_length."""
    score = {
        "key": "mean",
        "title": track["headline"],
        "unit": "",
        "less": not track["higher_is_better"],
        "by_length": False,
    }
    return {"mean": score, **{one["key"]: one for one in document["columns"]}}


def titled(axis: Spec, track: Spec, up: bool) -> str:
    """`peak memory, B (← less is better)`; on the upright axis the arrow points down or up."""
    length = track["lengths"].get(axis["key"]) if axis["by_length"] else None
    at = f" at {length} tokens" if length is not None else ""
    if up:
        return f"{axis['title']}{at} ({'less is better ↓' if axis['less'] else 'more is better ↑'})"
    return f"{axis['title']}{at} ({'← less is better' if axis['less'] else 'more is better →'})"


def bounds(row: Spec, key: str) -> tuple[float | None, float | None]:
    """The 95 % interval, where the measure has one."""
    if key == "mean":
        return row["low"], row["high"]
    return row.get(f"{key}_low"), row.get(f"{key}_high")


def points(document: Spec, track: Spec, x: str, y: str, logs: tuple[bool, bool]) -> list[Spec]:
    """One for each row that has both values, with whether the front holds it."""
    known = axes(document, track)
    rows = [row for row in track["rows"] if fits(row[x], logs[0]) and fits(row[y], logs[1])]
    signs = [-1 if known[key]["less"] else 1 for key in (x, y)]
    kept = set(front([(signs[0] * row[x], signs[1] * row[y]) for row in rows]))
    found = []
    names = shortened([row["label"] for row in rows])
    for i, row in enumerate(rows):
        (xlow, xhigh), (ylow, yhigh) = (bounds(row, key) for key in (x, y))
        values = {"x": row[x], "y": row[y], "xlow": xlow, "xhigh": xhigh, "ylow": ylow}
        marks = {"yhigh": yhigh, "front": i in kept, "picked": False, "shown": False}
        at = {"align": "left", "dx": 0, "dy": 0}
        found.append(
            {
                "label": row["label"],
                "name": names[i],
                "family": row["family"],
                **values,
                **marks,
                **at,
            }
        )
    return sorted(found, key=lambda one: bool(one["front"]))  # the front is drawn over the rest


def size(count: int) -> int:
    """Of a point's area: a crowd of thousands is made of small ones."""
    return 95 if count <= 100 else 50 if count <= 500 else 24


def shortened(labels: list[str]) -> list[str]:
    """Without the words that all of them begin with; none is left empty."""
    words = [label.split(" ") for label in labels]
    same = 0
    while len(words) > 1 and all(
        same < len(one) - 1 and one[same] == words[0][same] for one in words
    ):
        same += 1
    return [" ".join(one[same:]) for one in words]


def fits(value: float | None, log: bool) -> bool:
    """Whether the scale can show it."""
    return value is not None and (not log or value > 0)


def chart(document: Spec, track: Spec, x: str, y: str = "mean", log: bool = True) -> Spec | None:
    """The chart for a file, with a log x axis where all values allow one; None without a point."""
    log = log and all(row[x] is None or row[x] > 0 for row in track["rows"])
    dots = points(document, track, x, y, (log, False))
    if not dots:
        return None
    known, among = axes(document, track), sorted({row["family"] for row in track["rows"]})
    chance = [{"value": track["chance"], "text": "chance"}] if near(track, dots, y) else []
    xs = [v for dot in dots for v in (dot["x"], dot["xlow"], dot["xhigh"]) if fits(v, log)]
    ys = [v for dot in dots for v in (dot["y"], dot["ylow"], dot["yhigh"]) if v is not None]
    across, upright = room(xs, log, 0.09), room([*ys, *(c["value"] for c in chance)], False, 0.06)
    place(dots, across, upright, (640, HEIGHT), log, up=not known[y]["less"])
    scale = {"type": "log" if log else "linear", "domain": across, "nice": False, "zero": False}
    define = {
        "x": {
            "title": titled(known[x], track, False),
            "scale": scale,
            "axis": {
                "format": "~g" if known[x]["unit"] == "ms" else "~s",
                "grid": False,
                "labelOverlap": True,
            },
        },
        "y": {
            "title": titled(known[y], track, True),
            "scale": {"domain": upright, "nice": False, "zero": False},
            "axis": {"tickCount": 6},
        },
        "color": colour_scale(among, [colour(one, families(document)) for one in among]),
        "step": "step-after" if known[x]["less"] else "step-before",
        "size": size(len(dots)),
    }
    return fill(shape(), define, {"points": dots, "chance_y": chance})


def near(track: Spec, dots: list[Spec], y: str) -> bool:
    """Whether chance is shown: not where it would push the rows into a corner."""
    if track["chance"] is None or y != "mean":
        return False
    ends = [v for dot in dots for v in (dot["y"], dot["ylow"], dot["yhigh"]) if v is not None]
    low, high = min(ends), max(ends)
    return bool(2 * low - high <= track["chance"] <= 2 * high - low)


def room(values: list[float], log: bool, share: float) -> list[float]:
    """The ends of an axis, with a margin; one value alone gets some room of its own."""
    low, high = min(values), max(values)
    if log:
        a, b = log10(low), log10(high)
        pad = share * (b - a) if b > a else 0.5
        return [10 ** (a - pad), 10 ** (b + pad)]
    pad = share * (high - low) if high > low else max(0.02, abs(high) / 10)
    return [low - pad, high + pad]
