"""Numbers and names as a person reads them."""

import unicodedata
from math import floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_leaderboard.column import Column
    from zoo_leaderboard.row import Row
    from zoo_leaderboard.track import Track

MISSING = "–"  # noqa: RUF001 - the dash that stands for no value


def score(value: float | None) -> str:
    """Three decimals; four digits for what is large, two for what would be 0.000."""
    if value is None:
        return MISSING
    if 0 < abs(value) < 0.0005:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def span(interval: tuple[float, float] | None) -> str:
    """`0.398 to 0.426`, with a dash."""
    return MISSING if interval is None else f"{score(interval[0])}–{score(interval[1])}"  # noqa: RUF001


def short(value: float | None, unit: str = "") -> str:
    """Three digits and a prefix: `201k`, `12.6 MB`, `0.85 ms`."""
    if value is None:
        return MISSING
    space = " " if unit else ""
    if unit == "ms" or abs(value) < 1000:
        return f"{digits(value)}{space}{unit}"
    step = min(int(log10(abs(value)) / 3), 5)
    if abs(round(value / 1000**step, 3 - len(str(int(abs(value) / 1000**step))))) >= 1000:
        step = min(step + 1, 5)
    return f"{digits(value / 1000**step)}{space}{'kMGTP'[step - 1]}{unit}"


def cost(track: "Track", row: "Row", column: "Column") -> str:
    """One measurement of one row; an exponent with its interval, which is often wide."""
    text = short(track.cost(row, column), column.unit)
    growth = track.growth.get(row) if column.key == "time_exponent" else None
    return f"{text} ({short(growth.low)}–{short(growth.high)})" if growth else text  # noqa: RUF001


def digits(value: float) -> str:
    """Three significant digits without an exponent where it can be helped."""
    if value == 0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    places = max(0, 2 - floor(log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def visible(text: str) -> str:
    r"""Control, bidirectional and zero-width characters written out as ``\u202e``.

    A name in a record may not move the cursor, turn the line around or hide a part of itself.
    """
    if text.isprintable():  # almost all, and none of these
        return text
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in hidden else c
        for c in text
    )


PROVISIONAL = ("*", "provisional: fewer than three seeds ended well")
CHANCE = ("≈", "not above chance beyond its interval")


def marks(track: "Track", row: "Row") -> list[tuple[str, str]]:
    """What a reader must know about a row, as a sign and its meaning."""
    found = [PROVISIONAL] if row.provisional else []
    return [*found, CHANCE] if track.learned(row) is False else found


def tags(track: "Track", row: "Row") -> list[str]:
    """What a reader must know before quoting the row, in words."""
    commits = {record.env.commit for record in row.records}
    said = {
        "provisional": row.provisional,
        "not above chance": track.learned(row) is False,
        "several commits": len(commits) > 1,
        "uncommitted changes": any(record.env.dirty for record in row.records),
    }
    return [words for words, holds in said.items() if holds]


def signed(value: float | None) -> str:
    """A difference: three digits after its sign."""
    return MISSING if value is None else f"{'-' if value < 0 else '+'}{digits(abs(value))}"


def chances(p: float | None) -> str:
    """A p; below a thousandth nothing finer is claimed, and none below 0.05 is rounded up to it."""
    if p is None:
        return MISSING
    if p < 0.001:
        return "<.001"
    return "<.05" if 0.0495 <= p < 0.05 else f"{p:.3f}"
