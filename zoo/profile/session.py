"""One call of `zoo profile`: all its cells at each length together, in turns, and kept."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console

from zoo import memory
from zoo.errors import Killed, ZooError
from zoo.profile.cell import TIMED, Cell
from zoo.profile.process import Missed, Process
from zoo.profile.record import Profile
from zoo.signals import STOPPING

IDLE = 2**29
"""Bytes that a worker holds while it waits, most of them torch's own."""
HELD = 12
"""And, for each number of its input in each layer, this many: the input and a cache of keys and
values, 4 bytes each.
"""
FOR_WAITING = 0.5
"""Share of the memory that is available which workers that wait may hold: the rest is for the one
whose turn it is."""
UNKNOWN = 8
"""Workers together where the machine does not tell its memory."""
Roofs = dict[str, Any]


def measure(
    cells: Sequence[Cell], lengths: Sequence[int], rounds: int, keep: Callable[[Cell], object]
) -> None:
    """What is not measured yet, the shortest length first; ``keep`` gets a cell after every one.

    Whatever ends it, no worker is left; what was kept stays.
    """
    console = Console(file=sys.stderr, highlight=False)
    try:
        for length in lengths:
            waiting = [c for c in cells if all(p.length != length for p in c.profile.points)]
            while waiting:
                most = seats(max(held(cell.profile, length) for cell in waiting))
                crew, waiting = waiting[:most], waiting[most:]
                _together(crew, length, rounds, console)
                for cell in crew:
                    keep(cell)
    finally:
        for cell in cells:
            cell.stop()


def _together(crew: Sequence[Cell], length: int, rounds: int, console: Console) -> None:
    """One length of some cells, whose workers live at the same time and take turns."""

    def say(text: str) -> None:
        line = f"length {length:,}: {text}"
        if console.is_terminal:
            status.update(line)
        else:
            console.print(line, soft_wrap=True)

    with console.status("") as status:
        say(f"{len(crew)} start")
        for cell in crew:
            cell.begin(length)
        for cell in crew:
            cell.ready()
        for number, cell in enumerate(crew, start=1):
            say(f"memory of {cell.profile.mixer} ({number} of {len(crew)})")
            cell.sizes()
        say(f"{rounds} rounds")
        for done in range(rounds):
            first = done % len(crew)
            for name in TIMED:
                for cell in (*crew[first:], *crew[:first]):
                    cell.turn(name)
            if console.is_terminal:
                say(f"round {done + 1} of {rounds}")
        for cell in crew:
            cell.end()


def held(profile: Profile, length: int) -> int:
    """Bytes that a worker of this profile holds while it waits."""
    return IDLE + HELD * profile.batch * length * profile.dim * profile.depth


def seats(each: int) -> int:
    """As many workers of so many bytes at a time as memory allows to wait, one at least."""
    free = memory.available()
    return UNKNOWN if free is None else max(1, int(FOR_WAITING * free / each))


def roofs(device: str, precision: str) -> Roofs:
    """The most that the device was seen to do, in a process of its own."""
    probe = Process()
    try:
        return probe.ask({"do": "probe", "device": device, "precision": precision}, 300)
    except Missed as error:
        raise ZooError(f"device={device} cannot be measured: {error.miss.reason}") from error
    finally:
        probe.kill()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """A stopping signal raises Killed where it finds us: a length that is half done is lost."""
    import signal

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Killed(signum)

    taken = [s for s in STOPPING if signal.getsignal(s) is not signal.SIG_IGN]
    before = {s: signal.signal(s, stop) for s in taken}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
