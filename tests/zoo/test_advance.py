"""Progress on stderr: plain lines now and then, and a live bar in a terminal only."""

import sys
import threading
import time

import pytest

import zoo


class Clock:
    """Time as the test has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_a_plain_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with zoo.advancing("toys", 4000, start=1000) as advanced:
        for _ in range(30):
            clock.now += 1
            advanced(100)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "toys: 2,000 of 4,000, 10 s",
        "toys: 3,000 of 4,000, 20 s",
        "toys: 4,000 of 4,000, 30 s",
    ]


def test_bytes_are_megabytes_and_a_total_may_be_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with zoo.advancing("toys", None, unit="bytes") as advanced:
        advanced(2_500_000)
        clock.now += 3
    assert capsys.readouterr().err == "toys: 2.5 MB, 3 s\n"


def test_what_takes_no_time_or_fails_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with zoo.advancing("toys", 1) as advanced:
        advanced()

    def fail() -> None:
        with zoo.advancing("toys", 2):
            clock.now += 5
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr().err == ""


def test_threads_lose_no_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with zoo.advancing("toys", 80_000) as advanced:

        def work() -> None:
            for _ in range(10_000):
                advanced()

        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        clock.now += 2
    assert "toys: 80,000 of 80,000" in capsys.readouterr().err


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with zoo.advancing("[toys]", 10) as advanced:
        advanced(10)
    err = capsys.readouterr().err
    assert "[toys]" in err
    assert "10/10" in err
