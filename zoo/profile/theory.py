"""What theory says of a cost by length, as grey lines with their formula."""

from collections.abc import Callable, Mapping, Sequence
from math import log2

from zoo.profile.marks import GREY, Row, Spec

ANALYTIC: Mapping[str, Callable[[float], float]] = {
    "O(n)": lambda n: n,
    "O(n log n)": lambda n: n * log2(max(n, 2)),
    "O(n²)": lambda n: n * n,
}


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
    grey = (
        f"grey: a (n/{first}), a (n log n)/({first} log {first}), a (n/{first})², through the "
        f"cheapest at {first}: a = {anchor:.3g}"
    )
    heads = head_count(group)
    if field != "forward_bytes" or heads is None:
        return found, grey
    width = 2 if group["precision"] == "bf16" else 4
    name = f"b·h·n²·{width} B"
    scores = width * group["batch"] * heads
    found += [{"name": name, "length": n, "value": scores * n * n / unit} for n in span]
    formula = f"{name} are attention's scores, b = {group['batch']}, h = {heads}"
    return found, f"{grey}; {formula}"


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
    lines: dict[str, list[Spec]] = {}
    for value in values:
        lines.setdefault(value["name"], []).append(value)
    # The scores run close to O(n²), whose name stands at its end: theirs stands before it.
    labels = [points[-1] for name, points in lines.items() if name in ANALYTIC]
    labels += [points[len(points) * 2 // 3] for name, points in lines.items() if "·" in name]
    text = {"type": "text", "align": "right", "dy": -6, "fontSize": 11, "color": GREY}
    names = {"x": x, "y": y, "text": {"field": "name"}}
    drawn.append({"data": {"values": labels}, "mark": text, "encoding": names})
    return drawn
