"""The record of a profile: one mixer's costs by length, and the machine they were measured on."""

import json
from collections.abc import Iterator
from errno import ENOSPC
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from zoo.errors import DataError, DiskFull, ZooError
from zoo.record import LARGEST, Part, atomic_write

SCHEMA = 1
FILE = "profile.json"


class Timing(Part):
    """Milliseconds: the median of ``n`` and the quartiles around it."""

    median: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    n: int = Field(ge=1)


class Miss(Part):
    """Why a figure is null: the memory ran out, it would have taken too long, it is refused (a
    mixer that does not decode), the machine does not tell it, or it failed.
    """

    kind: Literal["oom", "slow", "refused", "untold", "failed"]
    reason: str


class Point(Part):
    """Costs at one length, in tokens; of the whole batch."""

    length: int = Field(ge=1)
    session: str | None = None
    """The call that measured it, where that is not the profile's: one that went on."""
    forward_ms: Timing | None = None
    train_ms: Timing | None = None
    """Forward and backward."""
    prefill_ms: Timing | None = None
    """All tokens at once to the state from which decoding goes on."""
    decode_ms: Timing | None = None
    """One more token after ``length`` tokens."""
    forward_bytes: int | None = None
    """Peak of memory during a forward pass above what was there before it."""
    train_bytes: int | None = None
    state_bytes: int | None = None
    """What decoding carries after ``length`` tokens, measured."""
    state_closed_form: int | None = None
    """The same by the mixer's closed form of numbers, each of as many bytes as its state had after
    a few tokens: ids and what autocast narrows are not 4 bytes wide.
    """
    flops: float | None = None
    """Of a forward pass, by closed form."""
    flops_counted: float | None = None
    uncounted: list[str] = []
    """Operators that did arithmetic which torch's counter does not know."""
    moved_bytes: float | None = None
    """What the operators of a forward pass read and wrote, counted: the traffic without fusion."""
    least_bytes: float | None = None
    """Input, output and parameters once each: the traffic that nothing can avoid."""
    joules: float | None = None
    """Of a forward pass."""
    missing: dict[str, Miss] = {}
    """Field name -> why it is null."""


class Machine(Part):
    """What it was measured on, and the most that it was seen to do in this session."""

    device: str
    precision: str
    torch: str
    python: str
    threads: int
    matmul_flops: float | None = None
    """Floating point operations a second in a large matrix product, measured."""
    bandwidth: float | None = None
    """Bytes a second in a copy of what no cache holds, measured."""
    commit: str | None = None
    dirty: bool | None = None
    plugins: dict[str, str] = {}


class Profile(Part):
    """One mixer (or the model around it) under one set of conditions, over its lengths."""

    schema_version: int = SCHEMA
    profile_id: str
    """Hash of what was asked, the code and the machine: the same words go on where they stopped."""
    session: str
    """When the call began whose processes measured it in turns, the same for all its cells; ISO
    8601, UTC.
    """
    subject: Literal["mixer", "model"]
    task: str | None = None
    """The task whose model it is; None for the mixer alone."""
    mixer: str
    options: dict[str, Any]
    position: str
    family: str
    kernel: str | None
    """The kernel that ran."""
    complexity: str | None
    """How time grows with the length, as the mixer claims: "l", "l log l", "l sqrt l", "l^2"."""
    dim: int
    depth: int
    batch: int
    direction: Literal["causal", "bidirectional", "wrapped"]
    params: int
    points: list[Point]
    machine: Machine


def read_all(folder: Path) -> Iterator[Profile | DataError]:
    """Every profile below ``folder``, the unreadable ones as the error that names them."""
    for path in sorted(folder.rglob(FILE)):
        try:
            yield read(path)
        except DataError as error:
            yield error


def read(path: Path) -> Profile:
    """Raises DataError naming the file and what is wrong with it."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: {path.stat().st_size} bytes is no profile")
        content = json.loads(path.read_text())
        version = content.get("schema_version")
        if version != SCHEMA:
            raise DataError(f"{path}: profile schema {version}; this zoo reads {SCHEMA}, upgrade")
        return Profile.model_validate(content)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not a profile: {str(error).splitlines()[0]}") from error


def write(profile: Profile, folder: Path) -> Path:
    """`<folder>/profiles/<profile_id>/profile.json`, whole or not at all; returns its path.

    Raises DiskFull where it does not fit, ZooError where the folder takes no file.
    """
    path = folder / "profiles" / profile.profile_id / FILE
    content = profile.model_dump(mode="json")
    try:
        atomic_write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        kind = DiskFull if error.errno == ENOSPC else ZooError
        raise kind(f"{path} cannot be written: {error.strerror}; set ZOO_RUNS") from error
    return path
