"""The record: one immutable JSON file per run, and all that the leaderboard knows."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from zoo.errors import DataError

SCHEMA = 2
Status = Literal["ok", "failed", "diverged", "oom", "killed"]
LARGEST = 16 * 2**20  # bytes; a record is a few kilobytes


class Part(BaseModel):
    """Strict when written; NaN and infinity are refused, a field is null with a reason instead."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Failure(Part):
    """What went wrong, and in which phase: plan, data, train, test or measure."""

    type: str
    message: str
    phase: str


class TaskPart(Part):
    """What was asked; two ids are never ranked together."""

    name: str
    """On the shelf; with a colon and more for another data set or form of it."""
    id: str
    protocol: str
    budget: str
    averages: dict[str, list[str]] = {}
    """Named means over the suite, as Avg5, and the names of the tasks they are over."""
    trained_to: int | None = None
    """The longest length that training shows, where the task tests longer ones too."""


class MixerPart(Part):
    """Who answered. A hybrid's name is `hybrid`, its pattern stands in the options."""

    name: str
    options: dict[str, Any]
    prescribed: list[str] = []
    """Options that the task's protocol set, not the user; they may differ from task to task."""
    kernel: str | None
    family: str


class Metric(Part):
    """One score; ``n`` items were averaged."""

    value: float | None
    split: str
    higher_is_better: bool
    chance: float | None = None
    n: int


class FlopsPart(Part):
    """Forward pass per token at the task's length; ``uncounted`` operators ran but count 0."""

    closed_form: float | None = None
    counted: float | None = None
    uncounted: list[str] = []


class Spread(Part):
    """A timing in milliseconds: its median and its interquartile range."""

    median: float
    iqr: float


class Efficiency(Part):
    """What it cost; lengths are keys of the mappings, in tokens."""

    params: int | None = None
    flops_per_token: FlopsPart = FlopsPart()
    train_tokens_per_s: float | None = None
    peak_memory_bytes: int | None = None
    forward_ms: dict[int, Spread] = {}
    decode_ms_per_token: float | None = None
    state_bytes: dict[int, int] = {}


class Env(Part):
    """Where it ran."""

    commit: str | None
    dirty: bool | None
    python: str
    torch: str
    device: str
    precision: str
    deterministic: bool
    plugins: dict[str, str]


class Data(Part):
    """What it read."""

    name: str
    sha256: str | None
    source: str | None


class Record(Part):
    """One run, whole. ``missing`` says, by dotted field name, why a null is null."""

    schema_version: StrictInt = SCHEMA
    run_id: str
    status: Status
    failure: Failure | None = None
    task: TaskPart
    mixer: MixerPart
    config: dict[str, Any]
    config_sha256: str
    seed: int
    metrics: dict[str, Metric] = {}
    headline: str
    curve: dict[int, float] = {}
    """Headline metric on the test split, by length."""
    losses: dict[int, float] = {}
    """Training loss by step, each the mean over the steps since the one before; about 100."""
    validated: dict[int, float] = {}
    """Headline metric on the validation split, by step."""
    best_step: int | None = None
    """The step whose weights were tested: the best on validation."""
    efficiency: Efficiency = Efficiency()
    env: Env
    data: Data
    started: str
    """ISO 8601, UTC."""
    seconds: float = Field(ge=0)
    steps: int = Field(ge=0)
    tokens: int = Field(ge=0)
    resumed: list[int] = []
    """Steps at which an interrupted run was taken up again."""
    missing: dict[str, str] = {}


def write(record: Record, path: Path) -> None:
    """Whole or not at all: a temporary file beside it, fsync, rename."""
    atomic_write(path, dump(record).encode())


def dump(record: Record) -> str:
    """As it stands in the file."""
    return record.model_dump_json(indent=1) + "\n"


def atomic_write(path: Path, content: bytes) -> None:
    """Replace ``path``, or leave it as it was and leave nothing else behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path) -> Record:
    """The record as it would be written today; an older schema is migrated, the file stays.

    Raises DataError naming the file and what is wrong with it.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: {path.stat().st_size} bytes is no record")
        text = path.read_text(encoding="utf-8")
        return current(text) or Record.model_validate(migrated(json.loads(text), path))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not a record: {str(error).splitlines()[0]}") from error


def current(text: str) -> Record | None:
    """A record of today's schema in half the time; None for all that must be looked at closely."""
    try:
        record = Record.model_validate_json(text)
    except ValidationError:
        return None
    told = "schema_version" in record.model_fields_set
    return record if told and record.schema_version == SCHEMA else None


def migrated(content: Any, path: Path) -> dict[str, Any]:
    """The content under today's schema; raises DataError for a version that is not known here."""
    version = content.get("schema_version")
    known = isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= SCHEMA
    if not known:
        raise DataError(
            f"{path}: schema {version}; this zoo reads 1 to {SCHEMA}, upgrade mixer-zoo"
        )
    for old in range(version, SCHEMA):
        content = MIGRATIONS[old](content)
    return {**content, "schema_version": SCHEMA}


def migrate_1_to_2(content: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 keeps the course of training; of an older run it is not known."""
    reason = "the run is older than schema 2, which first kept it"
    unknown = dict.fromkeys(("losses", "validated", "best_step"), reason)
    return {**content, "missing": {**content.get("missing", {}), **unknown}}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: migrate_1_to_2}
"""Version -> a pure function to the next one. Golden files of every version stay loadable."""


def read_all(folder: Path) -> Iterator[Record | DataError]:
    """Every record below ``folder``, the unreadable ones as the error that names them."""
    for path in sorted(folder.rglob("record.json")):
        try:
            yield read(path)
        except DataError as error:
            yield error
