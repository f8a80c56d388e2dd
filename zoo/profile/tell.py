"""A group of profiles as a person reads it in a terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
SHORT = {"oom": "oom", "slow": "slow", "refused": "-", "untold": "?", "failed": "failed"}
MIB = 2**20
QUANTITIES: tuple[tuple[str, str, float], ...] = (
    ("forward_ms", "forward, ms", 1),
    ("train_ms", "forward and backward, ms", 1),
    ("prefill_ms", "prefill, ms", 1),
    ("decode_ms", "decode, ms a token", 1),
    ("forward_bytes", "peak memory of forward, MiB", MIB),
    ("train_bytes", "peak memory of forward and backward, MiB", MIB),
    ("state_bytes", "state, MiB", MIB),
    ("flops", "GFLOPs of forward, closed form", 1e9),
    ("intensity", "FLOPs a byte moved", 1),
    ("mfu", "% of the measured matrix product (what a causal mask hides is counted)", 0.01),
    ("bandwidth_share", "% of the measured bandwidth, of the least bytes", 0.01),
    ("joules", "joules of forward", 1),
)
"""Field, title, and what one of the shown unit is."""


def tell(group: Row) -> str:
    """Tables by quantity, exponents and claims, crossovers, and why figures are missing."""
    parts = [heading(group)]
    for field, title, unit in QUANTITIES:
        if any(point[field] is not None for row in group["rows"] for point in row["points"]):
            parts.append(f"{title}\n{quantity(group['rows'], field, unit)}")
    parts += [grown(group["rows"]), crossed(group["crossovers"]), missed(group["rows"])]
    return "\n\n".join(part for part in parts if part)


def heading(group: Row) -> str:
    """The conditions that all rows share."""
    what = "the mixer alone" if group["subject"] == "mixer" else f"the model of {group['task']}"
    roofs = ""
    if group["matmul_flops"] and group["bandwidth"]:
        roofs = (
            f"; {group['matmul_flops'] / 1e9:,.0f} GFLOP/s in a matrix product and "
            f"{group['bandwidth'] / 1e9:,.1f} GB/s in a copy were measured"
        )
    return (
        f"{what}: dim {group['dim']}, depth {group['depth']}, batch {group['batch']}, "
        f"{group['direction']}, precision {group['precision']}\n"
        f"{group['device']}, torch {group['torch']}{roofs}"
    )


def quantity(rows: Sequence[Row], field: str, unit: float) -> str:
    """Mixers by lengths."""
    lengths = sorted({point["length"] for row in rows for point in row["points"]})
    table = [["", *(f"{length:,}" for length in lengths)]]
    for row in rows:
        points = {point["length"]: point for point in row["points"]}
        table.append([row["label"], *(shown(points.get(n), field, unit) for n in lengths)])
    return aligned(table)


def shown(point: Row | None, field: str, unit: float) -> str:
    """Three digits, or in a word why not."""
    if point is None:
        return ""
    if point[field] is None:
        miss = point["missing"].get(field)
        return SHORT[miss["kind"]] if miss else "?"
    return figures(point[field] / unit)


def figures(value: float) -> str:
    """Three digits and no exponent, as far as that can be read."""
    if value == 0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def aligned(table: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides: list[Callable[[str, int], str]] = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    lines = [zip(sides, row, widths, strict=True) for row in table]
    return "\n".join("  ".join(s(c, w) for s, c, w in line).rstrip() for line in lines)


def grown(rows: Sequence[Row]) -> str:
    """Exponents with their intervals, and whether the complexity is as claimed."""
    fields = ("forward_ms", "train_ms", "prefill_ms", "decode_ms", "forward_bytes", "train_bytes")
    titles = ("forward", "train", "prefill", "decode", "memory fwd", "memory train")
    table = [["", *titles, "claimed", "FLOPs", "time"]]
    notes = []
    for row in rows:
        claims = row["claims"]
        table.append(
            [
                row["label"],
                *(interval(row["fits"][field]) for field in fields),
                row["complexity"] or "nothing",
                claims["flops"]["verdict"],
                claims["forward_ms"]["verdict"],
            ]
        )
        notes += [
            f"{row['label']}: {name} {claims[key]['verdict']}: {claims[key]['reason']}"
            for key, name in (("flops", "FLOPs"), ("forward_ms", "time"))
            if claims[key]["verdict"] != "yes"
        ]
    head = "exponent p of overhead + c n^p (95 % interval); complexity as claimed?"
    return "\n".join([head, aligned(table), *notes])


def interval(fit: Row) -> str:
    """`1.02 (0.98-1.07)`, `flat`, or a dash."""
    if "refused" in fit:
        return "flat" if fit["refused"].startswith("no growth") else "-"
    return f"{fit['p']:.2f} ({fit['low']:.2f}-{fit['high']:.2f})"


def crossed(crossovers: Sequence[Row]) -> str:
    """Where two curves cross; those that do not are in the JSON."""
    names = {"forward_ms": "forward", "train_ms": "train", "decode_ms": "decode"}
    names |= {"forward_bytes": "forward memory", "train_bytes": "train memory"}
    lines = [f"{names[c['field']]}: {c['text']}" for c in crossovers if c["length"] is not None]
    rest = len(crossovers) - len(lines)
    if rest:
        lines.append(f"{rest} other pairs do not cross within the measured lengths")
    return "\n".join(["crossovers", *lines]) if lines else ""


def missed(rows: Sequence[Row]) -> str:
    """Each reason once, with the first length where it holds."""
    seen: dict[str, str] = {}
    for row in rows:
        for point in row["points"]:
            for field, miss in point["missing"].items():
                if not miss["reason"].startswith("not tried") and miss["kind"] != "untold":
                    name = (
                        f"{row['label']} {field.rpartition('_')[0] or field} at {point['length']:,}"
                    )
                    seen.setdefault(
                        f"{row['label']} {miss['reason']}",
                        f"{name}: {miss['kind']}, {miss['reason']}",
                    )
                elif miss["kind"] == "untold":
                    seen.setdefault(miss["reason"], f"{field}: {miss['reason']}")
    return "\n".join(["missing", *seen.values()]) if seen else ""
