"""`zoo profile`: what was typed becomes cells, cells become profiles, profiles a report."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from zoo.errors import DataError, ZooError
from zoo.profile import record as profiles
from zoo.profile.record import Profile
from zoo.profile.words import Asked, read
from zoo.registry import Registry


def profile(
    registry: Registry,
    words: Sequence[str],
    *,
    multirun: bool,
    as_json: Path | None = None,
    charts: Path | None = None,
) -> tuple[str, int]:
    """Measure what is asked and not measured yet; returns all of it as text, and the exit code: 1
    where something failed otherwise than by memory or time.
    """
    asked = read(registry, words, multirun=multirun)
    found = measured(registry, asked, Path(os.environ.get("ZOO_RUNS") or "runs"))
    from zoo.profile.summary import summarise
    from zoo.profile.tell import tell

    groups = summarise(found)
    try:
        if as_json:
            as_json.write_text(json.dumps(groups, indent=1, allow_nan=False) + "\n")
        if charts:
            from zoo.profile.chart import save

            for path in save(groups, charts):
                note(f"{path} is drawn")
    except OSError as error:
        reason = f"{error.filename or as_json} cannot be written: {error.strerror}"
        raise ZooError(f"{reason}; the profiles are kept, the same words only write") from error
    misses = [miss for one in found for point in one.points for miss in point.missing.values()]
    code = 1 if any(miss.kind == "failed" for miss in misses) else 0
    return "\n\n\n".join(tell(group) for group in groups), code


def now() -> str:
    """The name of a session: when its call began."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def note(text: str) -> None:
    """A line beside the result."""
    sys.stderr.write(f"zoo: {text}\n")


def measured(registry: Registry, asked: Asked, runs: Path) -> list[Profile]:
    """The profiles of all cells, whole; each is kept below ``runs`` after every length.

    Raises Killed where a signal comes first; the same words then go on.
    """
    from zoo.profile.cell import Cell
    from zoo.profile.session import measure, roofs, stopped_by_signals
    from zoo.profile.start import decide, start

    longest = max(asked.lengths)
    session = now()
    cells: dict[str, Cell] = {}
    for config in asked.configs:
        decided = decide(registry, config, longest)
        one = kept(start(registry, decided, asked, session), runs, force=asked.force)
        cell = Cell(one, decided, session=session, longest=longest, limit=asked.limit)
        cells.setdefault(one.profile_id, cell)
    known = cache(roofs)
    with stopped_by_signals():
        for cell in cells.values():
            if len(cell.profile.points) < len(asked.lengths):
                found: dict[str, Any] = known(cell.config["device"], cell.config["precision"])
                cell.know(machine=cell.profile.machine.model_copy(update=found))
            else:
                name = cell.profile.profile_id
                note(f"profile {name} is finished; force=true measures it again")
        measure(
            list(cells.values()),
            asked.lengths,
            asked.rounds,
            lambda cell: profiles.write(cell.profile, runs),
        )
    return [cell.profile for cell in cells.values()]


def kept(fresh: Profile, runs: Path, *, force: bool) -> Profile:
    """The profile with the points that earlier calls have measured, if there are any."""
    path = runs / "profiles" / fresh.profile_id / profiles.FILE
    if force or not path.exists():
        return fresh
    try:
        old = profiles.read(path)
    except DataError as error:
        note(f"{error}; it is measured again")
        return fresh
    update = {"points": old.points, "params": old.params, "kernel": old.kernel}
    finished = {"session": old.session, "machine": old.machine}
    lengths = {point.length for point in old.points}
    return fresh.model_copy(update=update | (finished if lengths else {}))
