"""The page of this machine: it follows the records, and answers nobody else."""

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser, expect

from zoo.errors import ZooError
from zoo.record import Record
from zoo_leaderboard import serve as serving
from zoo_leaderboard.command import live
from zoo_leaderboard.page import page
from zoo_leaderboard.read import board

Put = Callable[..., Record]


def drawn(folder: Path) -> bytes:
    return page(board(folder, empty_ok=True), live=True)


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind((serving.HOST, 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def port(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server over ``runs``, in a thread of its own."""
    monkeypatch.setattr(serving, "POLL", 0.05)
    runs.mkdir()
    chosen, ended = free_port(), Event()
    thread = Thread(target=serving.serve, args=(runs, chosen, drawn, ended))
    thread.start()
    for _ in range(200):
        try:
            socket.create_connection((serving.HOST, chosen)).close()
            break
        except OSError:
            ended.wait(0.05)
    yield chosen
    ended.set()
    thread.join(10)
    assert not thread.is_alive()


def ask(port: int, path: str, **headers: str) -> http.client.HTTPResponse:
    line = http.client.HTTPConnection(serving.HOST, port, timeout=20)
    line.request("GET", path, headers=headers)
    return line.getresponse()


def test_an_empty_folder_has_a_page_already(port: int) -> None:
    answer = ask(port, "/")
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert answer.getheader("Cache-Control") == "no-store"
    assert b"</html>" in answer.read()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:1", ""]
)
def test_another_name_that_leads_here_gets_nothing(port: int, host: str) -> None:
    assert ask(port, "/", Host=host).status == 403
    assert ask(port, "/events?seen=0", Host=host).status == 403


@pytest.mark.parametrize("path", ["/x", "/..", "/record.json", "/events"])
def test_there_is_one_page(port: int, path: str) -> None:
    assert ask(port, path).status == 404


def test_who_has_seen_an_older_page_is_told_at_once_and_then_as_records_come(
    port: int, put: Put
) -> None:
    answer = ask(port, "/events?seen=0")
    assert answer.getheader("Content-Type") == "text/event-stream"
    assert [answer.readline() for _ in range(3)] == [b"event: board\n", b"data: 1\n", b"\n"]
    put(0.5)
    assert [answer.readline() for _ in range(3)] == [b"event: board\n", b"data: 2\n", b"\n"]


def test_the_page_in_a_browser_follows_the_records(port: int, put: Put, browser: Browser) -> None:
    put(0.5, mixer="first")
    with closing(browser.new_page()) as seen:
        faults: list[str] = []
        seen.on("pageerror", lambda error: faults.append(str(error)))
        seen.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        seen.goto(f"http://{serving.HOST}:{port}/#filter=")
        expect(seen.locator("body")).to_contain_text("first")
        put(0.7, mixer="second")
        expect(seen.locator("body")).to_contain_text("second", timeout=20_000)
        assert not faults


def test_a_port_that_is_taken_is_an_error_that_says_so(runs: Path) -> None:
    with closing(socket.socket()) as other:
        other.bind((serving.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(ZooError, match=rf"--port {taken}: .*; name another, 0 for any"):
            live(runs, taken)
    with pytest.raises(ZooError, match="--port 99999: "):
        live(runs, 99999)


def test_what_cannot_be_drawn_leaves_the_page_that_is_there(
    runs: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(0.5, mixer="first")
    site = serving.Site(runs, drawn)
    assert site.look()
    assert not site.look()  # nothing has changed
    before = site.content
    put(0.6, mixer="second")

    def fails(folder: Path) -> bytes:
        raise ZooError("no")

    monkeypatch.setattr(site, "draw", fails)
    with pytest.raises(ZooError):
        site.look()
    assert site.content == before
    monkeypatch.undo()
    assert site.look()  # it is tried again
    assert b"second" in site.content
