"""Time and memory against length, drawn from what bench/scan.py measured.

python bench/scan_plot.py docs/ssm.json docs/ssm.svg
"""

import json
import sys
from pathlib import Path
from typing import Any

import vl_convert

NAMES = {
    "numba": "ours (numba)",
    "mambapy": "mambapy, parallel scan",
    "transformers": "transformers, slow path",
    "attention": "attention (torch SDPA)",
}
COLOURS = ["#0072b2", "#e69f00", "#cc79a7", "#555555"]


def panel(rows: list[dict[str, Any]], field: str, title: str) -> dict[str, Any]:
    """One quantity against length, both on logarithmic axes."""
    lengths = sorted({row["length"] for row in rows})
    axis = {"values": lengths, "format": ",d", "grid": False}
    sides = list(NAMES.values())
    return {
        "width": 330,
        "height": 300,
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2}},
            {"mark": {"type": "point", "filled": True, "size": 55}},
        ],
        "encoding": {
            "x": {
                "field": "length",
                "type": "quantitative",
                "scale": {"type": "log", "base": 2, "nice": False},
                "axis": axis,
                "title": "length (tokens)",
            },
            "y": {
                "field": field,
                "type": "quantitative",
                "scale": {"type": "log"},
                "title": title,
                "axis": {"format": "~s", "tickCount": 5},
            },
            "color": {
                "field": "side",
                "type": "nominal",
                "scale": {"domain": sides, "range": COLOURS},
                "legend": {"orient": "bottom", "title": None, "columns": 2},
            },
            "shape": {"field": "side", "type": "nominal", "scale": {"domain": sides}},
        },
    }


def main() -> None:
    """Read the measurements, write the picture."""
    source, target = map(Path, sys.argv[1:3])
    rows = [
        {**row, "side": NAMES[row["side"]]}
        for row in json.loads(source.read_text())["rows"]
        if row["row"] == "against length"
    ]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "title": "Selective scan, forward and backward, batch 1, 256 channels, state 16",
        "data": {"values": rows},
        "hconcat": [panel(rows, "ms", "milliseconds"), panel(rows, "MB", "peak memory, MB")],
        "config": {"font": "sans-serif", "axis": {"labelFontSize": 11, "titleFontSize": 12}},
    }
    target.write_text(vl_convert.vegalite_to_svg(json.dumps(spec)))


if __name__ == "__main__":
    main()
