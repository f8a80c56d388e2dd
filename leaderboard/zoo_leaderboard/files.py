"""Files to records: everything below a folder, and a sentence for whatever cannot be shown."""

import gc
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from zoo.errors import DataError
from zoo.record import Record, read

if TYPE_CHECKING:
    from zoo.profile.record import Profile

RECORD, PROFILE = "record.json", "profile.json"
T = TypeVar("T")


def gather(folder: Path) -> "tuple[list[Record], list[Profile], list[str]]":
    """Records, profiles and problems, each in the order of their paths."""
    from zoo.profile.record import read as read_profile

    problems: list[str] = []
    records: list[Record] = []
    profiles: list[Profile] = []
    for path in found(folder, problems):
        if path.name == RECORD:
            records.extend(taken(path, read, problems))
        else:
            profiles.extend(taken(path, read_profile, problems))
    return records, profiles, problems


def found(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Every record and profile by its name; folders that cannot be listed are problems.

    Links to folders are not followed, so that no loop of them can hold the board up.
    """

    waiting = [str(folder)]  # os.walk asks twice of every folder whether it is a link
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listed:
                entries = sorted(listed, key=lambda entry: entry.name, reverse=True)
        except FileNotFoundError:  # gone since, or no such folder at all
            continue
        except OSError as error:
            problems.append(f"{error.filename}: cannot be listed: {error.strerror}")
            continue
        for entry in entries:
            inside = entry.is_dir(follow_symlinks=False)
            if inside:
                waiting.append(entry.path)
            if entry.name in (RECORD, PROFILE):
                if inside:
                    problems.append(f"{entry.path}: a folder, not a file")
                else:
                    yield Path(entry.path)


def taken(path: Path, reader: Callable[[Path], T], problems: list[str]) -> Iterator[T]:
    """What ``reader`` makes of a file, or nothing and a problem that names it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device would never end
            raise DataError(f"{path}: not a regular file")
        yield reader(path)
    except DataError as error:
        problems.append(reason(error))
    except (OSError, TypeError, KeyError, ValueError, RecursionError, MemoryError) as error:
        problems.append(f"{path}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")


def reason(error: DataError) -> str:
    """The error with the fields pydantic found wrong, where it was pydantic."""
    from pydantic import ValidationError

    if isinstance(error.__cause__, ValidationError):
        wrong = error.__cause__.errors(include_url=False, include_input=False)
        fields = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong[:3]]
        return f"{error} ({'; '.join(fields)}{'; …' if len(wrong) > 3 else ''})"
    return str(error)


@contextmanager
def unhurried() -> Iterator[None]:
    """No garbage collection inside: over millions of live objects it takes a third of the time.

    Nor at the end: what was made counts as old, or all of it would be looked through at once.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
