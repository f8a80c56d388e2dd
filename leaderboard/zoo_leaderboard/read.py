"""Records to tracks and rows: what may be compared, and what is one answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zoo.errors import DataError, ZooError
from zoo.identity import digest
from zoo.record import Record, read_all
from zoo_leaderboard.label import deciding, labels
from zoo_leaderboard.row import Row, headline
from zoo_leaderboard.track import Track, TrackKey


@dataclass(frozen=True)
class Board:
    """All that is shown: tracks in order, and what could not be read."""

    tracks: tuple[Track, ...]
    problems: tuple[str, ...]


def board(folder: Path) -> Board:
    """Read every record below ``folder``; raises ZooError when none can be shown."""
    found, problems = [], []
    for item in read_all(folder):
        if isinstance(item, DataError):
            problems.append(reason(item))
        else:
            found.append(item)
    tracks, unfit = arrange(found)
    whole = Board(tracks, (*problems, *unfit))
    if not tracks:
        what = f"{len(whole.problems)} unreadable and no other" if whole.problems else "no"
        listed = "".join(f"\n  {problem}" for problem in whole.problems)
        raise ZooError(
            f"{what} record.json below {str(folder)!r}; type `zoo run task=lra/listops "
            f"mixer=mamba`, or name a folder with --runs FOLDER{listed}"
        )
    return whole


def reason(error: DataError) -> str:
    """The error with the fields pydantic found wrong, where it was pydantic."""
    from pydantic import ValidationError

    if isinstance(error.__cause__, ValidationError):
        wrong = error.__cause__.errors(include_url=False, include_input=False)
        fields = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong[:3]]
        return f"{error} ({'; '.join(fields)}{'; …' if len(wrong) > 3 else ''})"
    return str(error)


def arrange(records: Iterable[Record]) -> tuple[tuple[Track, ...], list[str]]:
    """Tracks in order, and the records that fit nowhere or contradict each other."""
    problems: list[str] = []
    seen: dict[str, Record] = {}
    groups: dict[TrackKey, dict[str, list[Record]]] = {}
    for record in records:
        try:
            cell = identity(record)
        except (ValueError, RecursionError) as error:
            problems.append(f"run {record.run_id}: options or config hold no plain JSON: {error}")
            continue
        twin = seen.setdefault(record.run_id, record)
        if twin is not record and twin == record:
            continue
        if twin is not record:
            problems.append(f"run {record.run_id}: records with this id differ; the newest counts")
        groups.setdefault(TrackKey.of(record), {}).setdefault(cell, []).append(record)
    tracks = [Track(key, rows(list(cells.values()))) for key, cells in groups.items()]
    return tuple(sorted(tracks, key=lambda track: track.key.order)), problems


def identity(record: Record) -> str:
    """What makes two records seeds of one row; the kernel aside, which a failed run may lack.

    Raises ValueError when options or config hold NaN.
    """
    mixer = record.mixer
    whole = {"name": mixer.name, "family": mixer.family, "options": mixer.options}
    return digest({**whole, "config": deciding(record)})


def rows(cells: Sequence[list[Record]]) -> tuple[Row, ...]:
    """One row per cell and kernel, with the newest record of every seed, and a label of its own."""
    grouped = [seeds for cell in cells for seeds in by_kernel(cell)]
    names = labels([group[0] for group in grouped])
    return tuple(Row(name, newest(group)) for name, group in zip(names, grouped, strict=True))


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
    for record in sorted(records, key=lambda r: (started(r), r.run_id)):
        last[record.seed] = record
    return tuple(last[seed] for seed in sorted(last))


def started(record: Record) -> datetime:
    """When it started; what is no date counts as oldest."""
    try:
        when = datetime.fromisoformat(record.started)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
