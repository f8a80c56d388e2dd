"""Generated rows on disk: shards that are made when asked for, checked, and mapped into memory.

A shard is one file, `train-00007-<checksum>.npy`: rows of bytes, the label last. It is written
aside and renamed, so it is whole or not there, and its name says what it must hold. Several
processes that need the same shards each make some of them; one that is interrupted keeps what is
done. A longer set begins with the shards of a shorter one.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Event
from typing import NamedTuple, TypeVar

import numpy as np

import zoo
from zoo_lra.rows import Bytes, Grid

ROWS = 1000
"""Of a shard; the last one of a set may have more than is asked for."""
ALWAYS = 256 * 2**20
"""Bytes of a set up to which checksums are compared whenever it is opened."""
IN_MEMORY = 2**30
"""Bytes of a set up to which it is generated in memory where no folder can be written."""

Make = Callable[[int, Event], Bytes]
"""Shard number to its rows (ROWS, length + 1); stops half-way, returning less, when told to."""

Result = TypeVar("Result")


class Plan(NamedTuple):
    """One split of a generated data set."""

    name: str
    """Of the set, for a person."""
    folder: Path
    """Its place; everything that decides what the rows are must be in its name."""
    split: str
    length: int
    """Bytes of a row without its label."""
    make: Make


def open_rows(plan: Plan, count: int, workers: int = 1) -> Grid:
    """The first ``count`` rows of a split, made as far as they are not there.

    A damaged shard is made again. Where the folder cannot be written the rows are made in memory,
    if they are few, and a line says so. Raises DataError, DiskFull.
    """
    numbers = range(-(-count // ROWS))
    check = count * (plan.length + 1) <= ALWAYS
    missing = [number for number in numbers if not _sound(plan, number, checksum=check)]
    if not missing:
        return _grid([_opened(plan, number) for number in numbers], count)
    try:
        with zoo.storing(plan.folder):
            plan.folder.mkdir(parents=True, exist_ok=True)
            _fill(plan, missing, len(numbers), workers)
    except zoo.DataError as error:
        if count * (plan.length + 1) > IN_MEMORY:
            raise
        zoo.note(f"{plan.name}: {error}\n{plan.name}: generating {count:,} rows in memory")
        fresh = dict(_made(plan, missing, len(numbers), workers))
        parts = [fresh[number] if number in fresh else _opened(plan, number) for number in numbers]
        return _grid(parts, count)
    return _grid([_opened(plan, number) for number in numbers], count)


def whole(plan: Plan, count: int) -> bool:
    """Whether the first ``count`` rows are there; by the sizes of files, not their checksums."""
    return all(_sound(plan, number, checksum=False) for number in range(-(-count // ROWS)))


def damages(plan: Plan, count: int) -> list[str]:
    """One complaint for each damaged shard of the first ``count`` rows; a run makes but those that
    it needs, so that one which was never made is no damage.
    """
    found = ((number, _found(plan, number)) for number in range(-(-count // ROWS)))
    return [
        f"{plan.name}: {path} is damaged"
        for number, path in found
        if path is not None and not _sound(plan, number, checksum=True)
    ]


def _grid(parts: Sequence[Bytes], count: int) -> Grid:
    """The rows without the labels, which are read at once."""
    heights = [min(ROWS, count - first) for first in range(0, count, ROWS)]
    cut = [part[:height] for part, height in zip(parts, heights, strict=True)]
    labels = [np.array(part[:, -1]) for part in cut]
    return Grid([part[:, :-1] for part in cut], np.concatenate([np.empty(0, np.uint8), *labels]))


def _fill(plan: Plan, missing: Sequence[int], total: int, workers: int) -> None:
    """Make what is missing, and leave to others what they are at: theirs is waited for."""
    from filelock import FileLock, Timeout

    with zoo.advancing(
        f"{plan.name} {plan.split}", total * ROWS, start=(total - len(missing)) * ROWS
    ) as advance:

        def work(number: int, stop: Event) -> bool:
            """Whether this shard is done now, by whomever."""
            lock = plan.folder / f"{plan.split}-{number:05}.lock"
            guard = FileLock(lock)
            try:
                guard.acquire(timeout=0)
            except Timeout:
                return False
            try:
                if not _sound(plan, number, checksum=True):
                    rows = plan.make(number, stop)
                    if stop.is_set():
                        return False
                    _write(plan, number, rows)
            finally:
                lock.unlink(missing_ok=True)  # while it is held: nobody else's goes
                guard.release()
            advance(ROWS)
            return True

        left = list(missing)
        while left:
            done = dict(_all(work, left, workers))
            left = [number for number in left if not done[number]]
            if left:
                time.sleep(0.2)


def _made(
    plan: Plan, missing: Sequence[int], total: int, workers: int
) -> Iterator[tuple[int, Bytes]]:
    """Shards in memory."""
    title = f"{plan.name} {plan.split}"
    with zoo.advancing(title, total * ROWS, start=(total - len(missing)) * ROWS) as advance:
        for number, rows in _all(plan.make, missing, workers):
            advance(ROWS)
            yield number, rows


def _all(
    job: Callable[[int, Event], Result], numbers: Sequence[int], workers: int
) -> Iterator[tuple[int, Result]]:
    """Every number's result as it comes, from threads; an interrupt stops them within a row."""
    stop, todo = Event(), iter(numbers)
    with ThreadPoolExecutor(workers) as pool:
        under_way: dict[Future[Result], int] = {}
        try:
            while True:
                for number in islice(todo, workers - len(under_way)):
                    under_way[pool.submit(job, number, stop)] = number
                if not under_way:
                    return
                # a timeout, for a wait without one would not be interrupted everywhere
                for future in wait(under_way, 0.5, FIRST_COMPLETED).done:
                    yield under_way.pop(future), future.result()
        finally:
            stop.set()


def _write(plan: Plan, number: int, rows: Bytes) -> None:
    """Aside, then renamed; what had the number before goes."""
    aside = plan.folder / f"{plan.split}-{number:05}.{os.getpid()}.part"
    try:
        with aside.open("wb") as file:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())
        for old in plan.folder.glob(f"{plan.split}-{number:05}-*.npy"):
            zoo.note(f"{plan.name}: {old} was damaged and is made again")
            old.unlink(missing_ok=True)
        aside.rename(plan.folder / f"{plan.split}-{number:05}-{_digest(aside)}.npy")
    finally:
        # of one that was killed, too: this process holds the lock
        for piece in plan.folder.glob(f"{plan.split}-{number:05}.*.part"):
            piece.unlink(missing_ok=True)


def _found(plan: Plan, number: int) -> Path | None:
    """The file of a shard."""
    return next(iter(sorted(plan.folder.glob(f"{plan.split}-{number:05}-*.npy"))), None)


def _opened(plan: Plan, number: int) -> Bytes:
    """A shard, mapped into memory."""
    path = _found(plan, number)
    if path is None:
        raise zoo.DataError(f"{plan.folder}: {plan.split} shard {number} was removed meanwhile")
    rows: Bytes = np.load(path, mmap_mode="r")
    return rows


def _sound(plan: Plan, number: int, *, checksum: bool) -> bool:
    """Whether a shard is there, of the right size and, if asked, with the checksum it is named."""
    path = _found(plan, number)
    if path is None:
        return False
    if path.stat().st_size != HEADER + ROWS * (plan.length + 1):
        return False
    return not checksum or path.stem.endswith(_digest(path))


HEADER = 128
"""Bytes of an .npy file before its array, as numpy pads it."""


def _digest(path: Path) -> str:
    """128 bits of SHA-256."""
    with path.open("rb") as file:
        whole = sha256()
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()[:32]
