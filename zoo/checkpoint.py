"""Checkpoints that are whole or not there: the checksum is part of the file's name."""

import os
import shutil
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from zoo.errors import DataError

KEEP = 2


class AtomicCheckpointIO(CheckpointIO):
    """Writes `step-9.<sha256>.ckpt` by way of a temporary file beside it; verifies on load.

    Lightning's own writes through $TMPDIR and leaves a truncated file under the final name when
    the disk is full; and neither it nor torch notices a flipped bit.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """``path`` gets the checksum before its suffix; older checkpoints are dropped."""
        save(checkpoint, Path(path))
        for old in checkpoints(Path(path).parent)[KEEP:]:
            old.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises DataError when the file is not what its name says."""
        return load(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """The newest ``KEEP`` stay; ``save_checkpoint`` sees to it."""


def save(content: Mapping[str, Any], path: Path) -> Path:
    """Write ``content`` (tensors and plain data) whole; returns the name with the checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with draft.open("wb+") as file:
            torch.save(dict(content), file)
            file.flush()
            file.seek(0)
            checksum = file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        return draft.replace(path.with_name(f"{path.stem}.{checksum[:16]}{path.suffix}"))
    finally:
        draft.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Raises DataError when the checksum differs; never runs code from the file."""
    try:
        with path.open("rb") as file:
            checksum = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if path.stem.rpartition(".")[2] != checksum[:16]:
        raise DataError(f"{path}: damaged: its checksum is {checksum[:16]}, not what its name says")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("step-*.ckpt"), key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """The number of steps done in a checkpoint."""
    return int(path.name.partition("-")[2].partition(".")[0])


def newest_good(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is what its name says, and complaints about newer ones.

    Raises DataError if there are checkpoints and none is good: never a silent start from zero.
    """
    complaints = []
    for path in checkpoints(folder):
        try:
            load(path)
        except DataError as error:
            complaints.append(str(error))
        else:
            return path, complaints
    if complaints:
        raise DataError(
            f"{'; '.join(complaints)}. No good checkpoint is left: delete {folder} to start over"
        )
    return None, []


def clear(folder: Path) -> None:
    """Drop what a finished run no longer needs."""
    shutil.rmtree(folder, ignore_errors=True)
