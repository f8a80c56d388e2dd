"""The look that every chart shares, on the page and off it: colours by family, type and lines."""

from collections.abc import Iterable
from typing import Any

Spec = dict[str, Any]

LIGHT = (
    "#0b6aa8",
    "#c8561b",
    "#2a8a68",
    "#a34d8d",
    "#8a6d00",
    "#4457c0",
    "#b3303f",
    "#5f6b76",
    "#0e7c86",
    "#7a4b2a",
    "#6b7f1d",
    "#8a3fc0",
)
DARK = (
    "#6cb4ee",
    "#f09a63",
    "#63c9a2",
    "#dc94ca",
    "#d9bb4e",
    "#9aa8f5",
    "#f08a94",
    "#aab4bd",
    "#5fc7d1",
    "#d3a27d",
    "#b7cb62",
    "#c79bf2",
)
"""The same families in the same order, for a dark page."""
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 3), (2, 2))
PAPER, INK, SOFT, LINE, WARN = "#fcfcfa", "#1c2126", "#5d6770", "#e2e3de", "#7a4b00"


def families(document: Spec) -> list[str]:
    """Every family of the board, in the order in which they take their colours."""
    rows = [row for part in ("tracks", "profiles") for one in document[part] for row in one["rows"]]
    return sorted({row["family"] for row in rows})


def colour(family: str, among: list[str]) -> str:
    """A family's colour on a light page; the page does the same with the dark palette."""
    return LIGHT[among.index(family) % len(LIGHT)]


def lines(rows: Iterable[Spec], among: list[str]) -> tuple[list[str], list[list[int]]]:
    """Colour and dash of a line for each row, no two alike while there are enough of them.

    A line takes its family's colour, and a dash within the family; where a family has more rows
    than there are dashes, colours go by row instead.
    """
    names = [row["family"] for row in rows]
    place = [names[:i].count(name) for i, name in enumerate(names)]
    if all(at < len(DASHES) for at in place):
        looks = [(colour(name, among), DASHES[at]) for name, at in zip(names, place, strict=True)]
    else:
        count = len(LIGHT)
        looks = [(LIGHT[i % count], DASHES[i // count % len(DASHES)]) for i in range(len(names))]
    return [one for one, _ in looks], [list(dash) for _, dash in looks]


def config() -> Spec:
    """Vega-Lite's settings for a chart on paper; the page brings its own, in its colours."""
    axis = {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelFontSize": 11.5,
        "titleFontSize": 12,
    }
    legend = {"labelColor": INK, "labelFontSize": 12, "labelLimit": 320, "titleColor": SOFT}
    font = "system-ui, 'DejaVu Sans', sans-serif"
    title = {"color": INK, "subtitleColor": SOFT, "anchor": "start", "offset": 14, "fontSize": 14}
    return {
        "font": font,
        "background": PAPER,
        "padding": 16,
        "view": {"stroke": None},
        "axis": axis,
        "legend": legend,
        "title": title,
    }
