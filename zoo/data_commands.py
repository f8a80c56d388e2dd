"""What `zoo data list`, `fetch` and `verify` do; each returns what to print."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from zoo.data.advance import note
from zoo.data.source import Source, data_folder, sized, storing
from zoo.data.stored import WORKPLACE
from zoo.errors import DataError, DiskFull, UnknownName, ZooError, nearest
from zoo.registry import Registry

Outcome = tuple[str, int]
"""What to print, and the exit code."""


FEW = 10
"""Complaints about one source that are shown."""


class Failure(NamedTuple):
    """A source that could not be had."""

    name: str
    message: str
    code: int


def sources(registry: Registry) -> dict[str, Source]:
    """Every source by name; one that does not import is said on stderr and left out.

    Raises DataError where the data folder cannot be looked into.
    """
    with storing(data_folder()):
        (data_folder() / WORKPLACE).exists()
    found = {}
    for name in registry.data:
        try:
            found[name] = registry.data[name]
        except ZooError as error:
            note(f"zoo: {error}")
    return found


def listing(registry: Registry, *, as_json: bool) -> Outcome:
    """Every source: is it here, how large is it, whose is it, where does it come from."""
    every = sources(registry)
    if as_json:
        rows = [
            {
                "name": name,
                "title": source.title,
                "here": source.here(),
                "size": source.size,
                "disk": source.disk,
                "licence": source.licence,
                "cite": source.cite,
                "origin": source.origin,
                "groups": list(source.groups),
                "instead": list(source.instead),
                "folder": str(source.folder()),
                "plugin": registry.data.offers[name].plugin,
            }
            for name, source in every.items()
        ]
        return json.dumps(rows, indent=1), 0
    table = [("NAME", "HERE", "SIZE", "FROM", "LICENCE")]
    for name, source in every.items():
        size = sized(source.disk if source.size == 0 else source.size)
        table.append((name, _state(source), size, source.origin, source.licence))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) for row in table]
    groups = sorted({group for source in every.values() for group in source.groups})
    words = f"`zoo data fetch NAME` brings one into {data_folder()}"
    more = f"; groups: {', '.join(groups)}" if groups else ""
    return "\n".join([*(line.rstrip() for line in lines), "", words + more]), 0


def _state(source: Source) -> str:
    if source.here():
        return "yes"
    return "part" if source.folder().exists() else "no"


def chosen(every: dict[str, Source], words: Iterable[str]) -> list[str]:
    """The sources that names and groups mean. Raises UnknownName with the nearest right one."""
    groups = {group for source in every.values() for group in source.groups}
    picked: dict[str, None] = {}
    for word in words:
        if word not in every and word not in groups:
            raise UnknownName(
                f"no data is named {word!r}; {nearest(word, every.keys() | groups)}"
                " (`zoo data list` shows all)"
            )
        members = [name for name, source in every.items() if word in source.groups]
        picked |= dict.fromkeys([word] if word in every else members)
    return list(picked)


def fetch(registry: Registry, words: Sequence[str], *, force: bool) -> Outcome:
    """Bring each in turn; one that fails does not stop the others. Raises DiskFull at once."""
    every = sources(registry)
    asked = chosen(every, words)
    _announce([every[name] for name in asked], force=force)
    failures: list[Failure] = []
    queue, seen = list(asked), set(asked)
    while queue:
        name = queue.pop(0)
        failure = _bring(every[name], force=force and name in asked)
        if failure is None:
            continue
        failures.append(failure)
        if every[name].here():  # what was to be brought anew is as it was
            continue
        others = [other for other in every[name].instead if other in every and other not in seen]
        if others:
            come = ", ".join(f"{other} ({every[other].effort})" for other in others)
            note(f"{name}: instead of it, as other data: {come}")
        queue += others
        seen |= set(others)
    return _summary(every, asked, failures)


def _announce(wanted: Sequence[Source], *, force: bool) -> None:
    """Say what will come and how large it is. Raises DiskFull when it cannot fit."""
    coming = [source for source in wanted if force or not source.here()]
    for source in wanted:
        note(f"{source.name}: {source.effort if source in coming else 'is here'}")
    if not coming:
        return
    load, disk = sum(s.size or 0 for s in coming), sum(s.disk or 0 for s in coming)
    unknown = " at least" if any(None in (s.size, s.disk) for s in coming) else ""
    free = shutil.disk_usage(_standing(data_folder())).free
    note(
        f"in all{unknown} {sized(load)} to download and {sized(disk)} on disk in {data_folder()}, "
        f"where {sized(free)} are free"
    )
    rest = disk - sum(_brought(source, force=force) for source in coming)
    if rest > free:
        raise DiskFull(
            f"{sized(rest)} do not fit into {data_folder()}, where {sized(free)} are free; free "
            "some space or point ZOO_DATA to another disk"
        )


def _brought(source: Source, *, force: bool) -> int:
    """Bytes that an earlier call has left of it, which need no room any more."""
    places = [data_folder() / WORKPLACE / source.name] + ([] if force else [source.folder()])
    files = (path for place in places for path in place.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files)


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _bring(source: Source, *, force: bool) -> Failure | None:
    """Fetch one; whatever goes wrong with it is told and returned."""
    try:
        source.fetch(force=force)
    except KeyboardInterrupt:
        note(f"{source.name}: stopped; the same command goes on from there")
        raise
    except ZooError as error:
        failure = Failure(source.name, str(error), error.exit_code)
    except Exception as error:  # a plugin's own fault must not cost the user the other data
        failure = Failure(source.name, f"{type(error).__name__}: {error}", DataError.exit_code)
    else:
        note(f"{source.name}: in {source.folder()}")
        return None
    note(f"{source.name}: failed; the end says why")
    return failure


def _summary(every: dict[str, Source], asked: list[str], failures: Sequence[Failure]) -> Outcome:
    """What is here by now, and what to do about the rest."""
    failed = {failure.name for failure in failures}
    here = [name for name in asked if name not in failed]
    lines = [f"here: {', '.join(here)}"] if here else []
    for name, message, _ in failures:
        if every[name].here():
            lines.append(f"as it was: {name}: {message}")
            continue
        others = [other for other in every[name].instead if other in every and every[other].here()]
        lines.append(f"not here: {name}: {message}")
        if others:
            lines.append(
                f"  here instead of it: {', '.join(others)}: other data, so that what is trained "
                "on it carries another task id"
            )
        lines.append(f"  try again: zoo data fetch {name}; or name your own copy: task.root=FOLDER")
    return "\n".join(lines), max((failure.code for failure in failures), default=0)


def verify(registry: Registry, words: Sequence[str]) -> Outcome:
    """Compare the checksums of all that is here, or of what is named."""
    every = sources(registry)
    names = chosen(every, words) if words else [n for n in every if every[n].folder().exists()]
    lines, code = [], 0
    for name in names:
        source = every[name]
        if not source.folder().exists():
            code = DataError.exit_code
            lines.append(f"{name}: is not here; zoo data fetch {name} brings it")
        elif complaints := source.verify():
            code = DataError.exit_code
            lines += [f"{name}: {complaint}" for complaint in complaints[:FEW]]
            lines += [f"{name}: and {len(complaints) - FEW} more"] * (len(complaints) > FEW)
            lines.append(f"  mend it: zoo data fetch {name} --force")
        else:
            lines.append(f"{name}: {'whole' if source.here() else 'sound, as far as it is here'}")
    return "\n".join(lines or [f"nothing is in {data_folder()} yet"]), code
