"""Rows on disk: prefixes, damage, interrupts, several processes, folders nobody can write to."""

import threading
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import zoo
from zoo_lra import shards
from zoo_lra.rows import Bytes, Grid
from zoo_lra.shards import ROWS, Plan, damages, open_rows, whole

LENGTH = 5


class Factory:
    """Makes rows that say which they are, and counts."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, number: int, stop: Event) -> Bytes:
        self.made.append(number)
        return expected(number)


def expected(number: int) -> Bytes:
    """Shard ``number``: bytes of the row's own number, and a label."""
    row = np.arange(number * ROWS, (number + 1) * ROWS)
    rows = np.zeros((ROWS, LENGTH + 1), np.uint8)
    rows[:, 0], rows[:, 1], rows[:, -1] = row % 256, row // 256, row % 7
    return rows


def plan(folder: Path, factory: shards.Make) -> Plan:
    return Plan("toys", folder / "toys", "train", LENGTH, factory)


def check(rows: Grid, count: int) -> None:
    whole_rows = np.concatenate([expected(number) for number in range(-(-count // ROWS))])[:count]
    assert np.array_equal(rows.labels, whole_rows[:, -1])
    picked = np.array([0, count // 2, count - 1])
    assert np.array_equal(np.stack(rows.take(picked)), whole_rows[picked, :-1])
    assert rows.width == LENGTH


def test_only_what_is_asked_for_is_made_and_once(tmp_path: Path) -> None:
    factory = Factory()
    asked = plan(tmp_path, factory)
    check(open_rows(asked, 1500), 1500)
    assert sorted(factory.made) == [0, 1]
    check(open_rows(asked, 700), 700)
    check(open_rows(asked, 2001, workers=2), 2001)
    assert sorted(factory.made) == [0, 1, 2]
    assert whole(asked, 2001)
    assert not whole(asked, 3001)
    assert len(open_rows(asked, 0).labels) == 0


def test_rows_are_mapped_not_read(tmp_path: Path) -> None:
    rows = open_rows(plan(tmp_path, Factory()), 10)
    base = rows.parts[0]
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)


def test_a_damaged_shard_is_told_and_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factory = Factory()
    asked = plan(tmp_path, factory)
    open_rows(asked, 3000)
    paths = sorted((tmp_path / "toys").glob("train-*.npy"))
    content = bytearray(paths[1].read_bytes())
    content[-3] ^= 1
    paths[1].write_bytes(content)
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    assert len(damages(asked, 3000)) == 2
    assert not whole(asked, 3000)
    paths[0].unlink()
    assert len(damages(asked, 3000)) == 2  # one that is not there is no damage
    capsys.readouterr()
    check(open_rows(asked, 3000), 3000)
    assert sorted(factory.made) == [0, 0, 1, 1, 2, 2]
    assert "was damaged and is made again" in capsys.readouterr().err
    assert damages(asked, 3000) == []
    assert sorted((tmp_path / "toys").iterdir()) == paths


def test_an_interrupt_keeps_what_is_done_and_leaves_no_pieces(tmp_path: Path) -> None:
    class Impatient(Factory):
        def __call__(self, number: int, stop: Event) -> Bytes:
            if number == 2:
                raise KeyboardInterrupt
            return super().__call__(number, stop)

    with pytest.raises(KeyboardInterrupt):
        open_rows(plan(tmp_path, Impatient()), 4000)
    names = [path.name for path in (tmp_path / "toys").glob("*.npy")]
    assert [name[:11] for name in sorted(names)] == ["train-00000", "train-00001"]
    assert not list((tmp_path / "toys").glob("*.part"))
    factory = Factory()
    check(open_rows(plan(tmp_path, factory), 4000), 4000)
    assert sorted(factory.made) == [2, 3]


def test_what_is_under_way_stops_when_another_fails(tmp_path: Path) -> None:
    stopped: list[bool] = []

    def make(number: int, stop: Event) -> Bytes:
        if number == 1:
            raise ZeroDivisionError
        stopped.append(stop.wait(10))
        return expected(number)[:3]

    with pytest.raises(ZeroDivisionError):
        open_rows(plan(tmp_path, make), 2000, workers=2)
    assert stopped == [True]
    assert not list((tmp_path / "toys").glob("*.npy"))


def test_two_at_once_share_the_work(tmp_path: Path) -> None:
    """Locks are per open file, so two threads stand for two processes."""

    class Slow(Factory):
        def __call__(self, number: int, stop: Event) -> Bytes:
            time.sleep(0.05)
            return super().__call__(number, stop)

    factory = Slow()
    runs = [
        threading.Thread(target=open_rows, args=(plan(tmp_path, factory), 6000)) for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(20)
    assert sorted(factory.made) == list(range(6))
    check(open_rows(plan(tmp_path, factory), 6000), 6000)


def test_an_interrupt_leaves_alone_what_others_are_at(tmp_path: Path) -> None:
    begun, go = Event(), Event()

    class Held(Factory):
        def __call__(self, number: int, stop: Event) -> Bytes:
            begun.set()
            go.wait(10)
            return super().__call__(number, stop)

    def interrupted(number: int, stop: Event) -> Bytes:
        raise KeyboardInterrupt

    slow, late = Held(), Factory()
    holder, follower = (
        threading.Thread(target=open_rows, args=(plan(tmp_path, f), 1000)) for f in (slow, late)
    )
    holder.start()
    assert begun.wait(10)
    with pytest.raises(KeyboardInterrupt):
        open_rows(plan(tmp_path, interrupted), 2000)
    follower.start()
    time.sleep(0.3)
    go.set()
    for run in (holder, follower):
        run.join(20)
    assert (slow.made, late.made) == ([0], [])
    assert [path.suffix for path in (tmp_path / "toys").iterdir()] == [".npy"]


def test_where_nothing_can_be_written_rows_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toys").write_text("a file where the folder should be")
    check(open_rows(plan(tmp_path, Factory()), 1500), 1500)
    assert "generating 1,500 rows in memory" in capsys.readouterr().err
    monkeypatch.setattr(shards, "IN_MEMORY", 1000)
    with pytest.raises(zoo.DataError, match="point ZOO_DATA"):
        open_rows(plan(tmp_path, Factory()), 1500)
