"""Records to tracks and rows: what may be compared, and what is one answer."""

from collections.abc import Iterable, Sequence

from zoo.identity import canonical
from zoo.record import Record
from zoo_leaderboard.age import age
from zoo_leaderboard.exponent import Exponents
from zoo_leaderboard.label import deciding, labels
from zoo_leaderboard.measured import headline
from zoo_leaderboard.row import Row
from zoo_leaderboard.sweep import merged, rate, without_rate
from zoo_leaderboard.track import Track, TrackKey

DEEPEST = 50
"""Levels of nesting in options and config; what is shown goes through recursive writers."""


def arrange(records: Iterable[Record]) -> tuple[tuple[Track, ...], list[str]]:
    """Tracks in order, and the records that fit nowhere or contradict each other."""
    problems: list[str] = []
    groups: dict[TrackKey, dict[str, dict[str, Record]]] = {}
    home: dict[tuple[TrackKey, str], dict[str, Record]] = {}
    for record in records:
        try:
            cell = identity(record)
        except (ValueError, RecursionError) as error:
            problems.append(f"run {record.run_id}: options or config hold no plain JSON: {error}")
            continue
        key = TrackKey.of(record)
        place = groups.setdefault(key, {}).setdefault(cell, {})
        # One run may have been copied, and the same words run on two machines have the same id.
        before = home.setdefault((key, record.run_id), place)
        twin = before.get(record.run_id)
        if twin is not None and twin == record:
            continue
        if twin is not None:
            problems.append(f"run {record.run_id}: records with this id differ; the newest counts")
            if age(record) < age(twin):
                continue
            del before[record.run_id]
            home[key, record.run_id] = place
        place[record.run_id] = record
    found = {
        key: rows([list(cell.values()) for cell in cells.values() if cell])
        for key, cells in groups.items()
    }
    together = Exponents(tuple(row for same in found.values() for row in same))
    tracks = [Track(key, same, together) for key, same in found.items()]
    return tuple(sorted(tracks, key=lambda track: track.key.order)), problems


def identity(record: Record) -> str:
    """What makes two records seeds of one row, or rates of one sweep.

    The kernel aside, which a failed run may lack. Raises ValueError when options or config hold NaN
    or are nested too deep.
    """
    mixer = record.mixer
    whole = {"name": mixer.name, "family": mixer.family, "options": mixer.options}
    # A run without a rate is none of a sweep, though the rest of its config be the same.
    swept = {"swept": rate(record.config) is not None}
    text = canonical({**whole, **swept, "config": without_rate(deciding(record))})
    if text.count("[") + text.count("{") > DEEPEST and depth(text) > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    return text


def depth(text: str) -> int:
    """The most brackets that are open at once; those in names count too, which only refuses."""
    most = now = 0
    for character in text:
        if character in "[{":
            most = max(most, now := now + 1)
        elif character in "]}":
            now -= 1
    return most


def rows(cells: Sequence[list[Record]]) -> tuple[Row, ...]:
    """A row per cell and kernel, or several where rates of learning cannot be chosen between."""
    parts = [
        part
        for cell in cells
        for same in by_kernel(cell)
        for part in merged([newest(group) for group in by_rate(same)])
    ]
    names = labels([part.shown[0] for part in parts], [bool(part.rates) for part in parts])
    return tuple(
        Row(name, part.shown, part.rates, part.rest)
        for name, part in zip(names, parts, strict=True)
    )


def by_rate(records: Iterable[Record]) -> list[list[Record]]:
    """Apart by the learning rate, which is all that the records of one cell may differ in."""
    rates: dict[float | None, list[Record]] = {}
    for record in records:
        rates.setdefault(rate(record.config), []).append(record)
    return list(rates.values())


def by_kernel(records: Iterable[Record]) -> list[list[Record]]:
    """Apart by the kernel that ran; a run that failed too early to know joins the only other."""
    kernels: dict[str | None, list[Record]] = {}
    for record in records:
        kernels.setdefault(record.mixer.kernel, []).append(record)
    unknown = [r for r in kernels.get(None, ()) if headline(r) is None]
    if len(kernels) == 2 and len(unknown) == len(kernels.get(None, ())) > 0:
        kernels.pop(None)
        next(iter(kernels.values())).extend(unknown)
    return list(kernels.values())


def newest(records: Iterable[Record]) -> tuple[Record, ...]:
    """The last started record of every seed, by seed."""
    last: dict[int, Record] = {}
    for record in sorted(records, key=age):
        last[record.seed] = record
    return tuple(last[seed] for seed in sorted(last))
