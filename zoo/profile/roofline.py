"""What was achieved at each intensity, under the roof that was measured."""

from zoo.profile.marks import DOT, GREY, LOG, Row, Spec, colour, framed, shape, told, tooltip


def roofline(group: Row) -> Spec | None:
    """What was achieved at each intensity, under the measured roof (Williams et al. 2009).

    Intensity is over the bytes that operators moved one by one: what is fused can pass the slope.
    FLOPs are not discounted for a causal mask: what skips the hidden half can pass the roof.
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
    if any(value["achieved"] > peak / 1e9 for value in values):
        formula += "; over it: a causal mask's hidden half is counted and was skipped"
    return framed(group, "GFLOP/s against intensity", formula, values, layer)
