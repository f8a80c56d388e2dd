"""Short names that tell the rows of one mixer apart: `mamba state=32`."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.identity import digest
from zoo.record import Record

ABSENT = object()
LONGEST = 24
ASIDE = frozenset({"seed", "workers", "loggers", "log_every", "checkpoint_every", "force"})
"""The seed and what the core calls housekeeping; a test holds the two lists together."""


def labels(records: Sequence[Record], swept: Sequence[bool] = ()) -> list[str]:
    """One label per row, from one record of each: the name, and what differs where it must.

    Options come first, then the kernel, then the rest of the config, as little as tells all apart.
    Of rows that are ``swept`` the learning rate is no part: they have it in several values.
    """
    if any(swept):
        records = [
            without_lr(record) if many else record
            for record, many in zip(records, swept, strict=True)
        ]
    groups: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        groups.setdefault(record.mixer.name, []).append(i)
    found = [""] * len(records)
    for name, group in groups.items():
        for i, tail in zip(group, tails([records[i] for i in group]), strict=True):
            found[i] = f"{name} {tail}" if tail else name
    return found


def tails(records: Sequence[Record]) -> list[str]:
    """What sets each apart from the others; all different unless there is only one."""
    parts: list[list[str]] = [[] for _ in records]
    for view in VIEWS:
        if len(set(map(tuple, parts))) == len(records):
            break
        for part, more in zip(parts, differing([view(record) for record in records]), strict=True):
            part.extend(more)
    return [" ".join(part) for part in parts]


def differing(views: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """`key=value` of every key whose value is not the same in all views."""
    keys = list(dict.fromkeys(key for view in views for key in view))
    apart = [key for key in keys if len({text(view.get(key, ABSENT)) for view in views}) > 1]
    return [[f"{key}={text(view[key])}" for key in apart if key in view] for view in views]


def text(value: Any) -> str:
    """A value in few characters: `[mamba,attention]`, not its JSON."""
    if value is ABSENT:
        return ""
    written = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    written = written if isinstance(value, str) else written.replace('"', "")
    if len(written) <= LONGEST:
        return written
    return f"{written[: LONGEST - 9]}…{digest({'': value})[:8]}"


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            found.update(flat(item, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = item
    return found


def deciding(record: Record) -> dict[str, Any]:
    """The config without what tells seeds apart and what cannot change a result."""
    return {key: value for key, value in record.config.items() if key not in ASIDE}


def without_lr(record: Record) -> Record:
    """The record as if its config had no learning rate of its own."""
    return record.model_copy(update={"config": {**record.config, "lr": "swept"}})


def position(record: Record) -> str:
    """The name of the position, whose options count among the settings."""
    entry = record.config.get("position")
    return str(entry.get("name", "")) if isinstance(entry, dict) else ""


def settings(record: Record) -> dict[str, Any]:
    """What decides, without the mixer's options, which come first anyway."""
    every = flat(deciding(record))
    return {key: every[key] for key in every if not key.startswith("mixer.")}


def whole(record: Record) -> dict[str, Any]:
    """The last resort: a hash of all that makes a row."""
    return {"id": digest({**record.mixer.model_dump(), "config": deciding(record)})[:8]}


VIEWS: tuple[Callable[[Record], Mapping[str, Any]], ...] = (
    lambda record: flat(record.mixer.options),
    lambda record: {"position": position(record)},
    lambda record: {"kernel": record.mixer.kernel or "unknown"},
    settings,
    whole,
)
