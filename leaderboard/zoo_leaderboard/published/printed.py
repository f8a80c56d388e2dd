"""A number as it stands in a paper: `59.60±.07`, `FAIL`, `>99`, and what it says."""

import re
from decimal import Decimal
from typing import Literal, NamedTuple

Unit = Literal["percent", "fraction"]
SOLVED = "✓"
NONE = {
    "FAIL": "failed: no better than chance",
    "OOM": "out of memory",
    "–": "not reported",  # noqa: RUF001 - as printed
}
"""What stands for no value, and why."""
NUMBER = re.compile(
    r"(?P<bound>>?)(?P<value>\d*\.?\d+)(?:±(?P<spread>\d*\.?\d+))?(?P<sic>\(sic\))?"
)


class Printed(NamedTuple):
    """``value`` and ``spread`` are fractions where the paper prints per cent."""

    text: str
    value: float | None
    spread: float | None
    reason: str
    """Why there is no value; empty where there is one."""
    flags: tuple[str, ...]
    half: float
    """Half a unit of the last printed place: what rounding may have moved the value by."""


def read(text: str, unit: Unit | None = None) -> Printed:
    """Raises ValueError for what is neither a number nor a known word; the ± of 18.3±.5 is 0.5."""
    if text in NONE:
        return Printed(text, None, None, NONE[text], (), 0.0)
    if text == SOLVED:
        return Printed(text, 1.0, None, "", (), 0.0)
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no number; one is printed as 36.37, 59.60±.07, >99 or FAIL")
    scale = Decimal(100 if unit == "percent" else 1)
    value, spread = Decimal(match["value"]), match["spread"]
    exponent = value.as_tuple().exponent
    place = Decimal(10) ** (exponent if isinstance(exponent, int) else 0)
    flags = ("at least",) * bool(match["bound"]) + ("sic",) * bool(match["sic"])
    return Printed(
        text,
        float(value / scale),
        None if spread is None else float(Decimal(spread) / scale),
        "",
        flags,
        float(place / 2 / scale),
    )
