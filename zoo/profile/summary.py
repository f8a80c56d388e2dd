"""Profiles as plain JSON: what was measured under equal conditions side by side, and judged."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from zoo.identity import canonical
from zoo.profile.claim import claim, exact
from zoo.profile.crossover import crossover
from zoo.profile.growth import Refused, growth
from zoo.profile.record import Point, Profile, Timing

TIMINGS = ("forward_ms", "train_ms", "prefill_ms", "decode_ms")
SIZES = ("forward_bytes", "train_bytes", "state_bytes")
EXACT = ("state_closed_form", "flops", "flops_counted", "moved_bytes", "least_bytes", "joules")
FITTED = (*TIMINGS, "forward_bytes", "train_bytes", "state_bytes")
COMPARED = ("forward_ms", "train_ms", "decode_ms", "forward_bytes", "train_bytes")
CLAIMED = ("forward_ms",)
"""A mixer claims how the time of its forward pass grows; its FLOPs are judged beside it."""
CONDITIONS = (
    "subject",
    "task",
    "device",
    "precision",
    "dim",
    "depth",
    "batch",
    "direction",
    "torch",
    "threads",
)
MEMORY_NOISE = 2**20
"""Bytes by which peaks of the same call differ from process to process."""
PLAIN = ("kernel", "position")
"""What a label shows without saying what it is."""
Row = dict[str, Any]


def summarise(profiles: Iterable[Profile]) -> list[Row]:
    """A group for all that share their conditions; of a cell that was measured more than once,
    under whatever code, the latest session counts.
    """
    latest: dict[str, Profile] = {}
    for one in sorted(profiles, key=lambda p: (p.session, p.profile_id)):
        if any(point.missing or point.forward_ms for point in one.points):
            latest[canonical({**conditions(one), "cell": cell(one)})] = one
    groups: dict[str, list[Profile]] = {}
    for one in latest.values():
        groups.setdefault(canonical(conditions(one)), []).append(one)
    return [group(members) for _, members in sorted(groups.items())]


def conditions(one: Profile) -> Row:
    """What has to be equal where two are compared."""
    whole = {**one.machine.model_dump(), **one.model_dump(include={*CONDITIONS})}
    return {key: whole[key] for key in CONDITIONS}


def cell(one: Profile) -> list[Any]:
    """What sets two profiles of a group apart."""
    return [one.mixer, one.options, one.position, one.kernel]


def group(members: Sequence[Profile]) -> Row:
    """One group's rows, judged by themselves and against one another."""
    members = sorted(members, key=lambda one: (one.family, one.mixer, canonical(one.options)))
    newest = max(members, key=lambda one: one.session)
    rows = [row(one, label) for one, label in zip(members, labels(members), strict=True)]
    told = conditions(newest)
    return {
        "group": anchor(told),
        **told,
        "matmul_flops": newest.machine.matmul_flops,
        "bandwidth": newest.machine.bandwidth,
        "sessions": sorted({p["session"] for each in rows for p in each["points"]}),
        "rows": rows,
        "crossovers": crossovers(rows),
    }


def anchor(told: Mapping[str, Any]) -> str:
    """The conditions as the end of an URL: readable, and different for different ones."""
    words = " ".join(str(told[key] or "") for key in CONDITIONS)
    return "profile-" + re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def labels(members: Sequence[Profile]) -> list[str]:
    """The mixer's name, and as little more as tells those of one name apart."""
    views: list[Callable[[Profile], Mapping[str, Any]]] = [
        lambda one: {"kernel": one.kernel},
        lambda one: {"position": one.position},
        lambda one: {k: v for k, v in one.options.items() if k != "kernel"},
        lambda one: {"asked kernel": one.options.get("kernel")},
    ]
    words = [[one.mixer] for one in members]
    for view in views:
        so_far = list(words)
        for i, one in enumerate(members):
            same = [j for j, other in enumerate(so_far) if other == so_far[i] and j != i]
            for key, value in view(one).items() if same else ():
                if any(view(members[j]).get(key) != value for j in same):
                    text = "no kernel" if key == "kernel" and value is None else said(value)
                    words[i] = [*words[i], text if key in PLAIN else f"{key}={text}"]
    return [" ".join(each) for each in words]


def said(value: Any) -> str:
    """A word as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def row(one: Profile, label: str) -> Row:
    """One profile: its points, how its costs grow, and whether that is what it claims."""
    curves = {field: curve(one, field) for field in (*FITTED, "flops")}
    time = curves["forward_ms"]
    return {
        "label": label,
        **one.model_dump(
            include={
                "mixer",
                "family",
                "kernel",
                "options",
                "position",
                "complexity",
                "params",
                "profile_id",
                "session",
            }
        ),
        "points": [point(each, one) for each in one.points],
        "fits": {field: fit(curves[field]) for field in FITTED},
        "claims": {
            "flops": exact(one.complexity, *zipped(curves["flops"]))._asdict(),
            **{field: claim(one.complexity, *zipped(time))._asdict() for field in CLAIMED},
        },
    }


def curve(one: Profile, field: str) -> dict[int, float]:
    """Length -> value where there is one above zero; medians of timings."""
    found = {}
    for each in one.points:
        value = getattr(each, field)
        value = value.median if isinstance(value, Timing) else value
        if value:
            found[each.length] = float(value)
    return found


def zipped(values: Mapping[int, float]) -> tuple[list[int], list[float]]:
    """Lengths and values apart."""
    return list(values), list(values.values())


def fit(values: Mapping[int, float]) -> Row:
    """overhead + scale n^p, or why not."""
    found = growth(*zipped(values))
    if isinstance(found, Refused):
        return {"refused": found.reason}
    return {
        "p": found.exponent,
        "low": found.low,
        "high": found.high,
        "overhead": found.overhead,
        "scale": found.scale,
        "r2": found.r2,
        "n": found.points,
        "from": found.shortest,
        "to": found.longest,
    }


def point(each: Point, one: Profile) -> Row:
    """One length: figures, quartiles of timings, and the shares of what the device can do."""
    found: Row = {"length": each.length, "session": each.session or one.session}
    for field in TIMINGS:
        timing = getattr(each, field)
        for name, part in ((field, "median"), (f"{field}_low", "low"), (f"{field}_high", "high")):
            found[name] = None if timing is None else getattr(timing, part)
    for field in (*SIZES, *EXACT):
        found[field] = getattr(each, field)
    seconds = each.forward_ms.median / 1e3 if each.forward_ms else None
    found["intensity"] = share(each.flops, each.moved_bytes)
    found["mfu"] = share(share(each.flops, seconds), one.machine.matmul_flops)
    found["bandwidth_share"] = share(share(each.least_bytes, seconds), one.machine.bandwidth)
    found["uncounted"] = each.uncounted
    found["missing"] = {name: miss.model_dump() for name, miss in each.missing.items()}
    return found


def share(part: float | None, whole: float | None) -> float | None:
    """A quotient, where both are known."""
    return part / whole if part is not None and whole else None


def crossovers(rows: Sequence[Row]) -> list[Row]:
    """Of every two rows, by what is compared; of timings it is said if no session took turns."""
    found = []
    for field in COMPARED:
        known = [(row, {p["length"]: p for p in row["points"] if p[field]}) for row in rows]
        for (a, at_a), (b, at_b) in combinations(known, 2):
            curves = [{n: p[field] for n, p in at.items()} for at in (at_a, at_b)]
            common = at_a.keys() & at_b.keys()
            close = {n for n in common if overlap(field, at_a[n], at_b[n])}
            crossed = crossover(field, a["label"], b["label"], curves[0], curves[1], close)
            if crossed is not None:
                apart = any(at_a[n]["session"] != at_b[n]["session"] for n in common)
                text = crossed.text + "; not measured in turns" * (apart and field in TIMINGS)
                names = {"a": a["label"], "b": b["label"]}
                found.append({"field": field, **names, "length": crossed.length, "text": text})
    return found


def overlap(field: str, a: Row, b: Row) -> bool:
    """Whether two figures are too close to call: of timings their quartiles overlap, of memory,
    measured once, they differ by no more than that is known to.
    """
    if field in TIMINGS:
        low, high = f"{field}_low", f"{field}_high"
        return bool(a[low] <= b[high] and b[low] <= a[high])
    return bool(abs(a[field] - b[field]) <= MEMORY_NOISE)
