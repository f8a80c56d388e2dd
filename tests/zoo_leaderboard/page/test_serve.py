"""The page of this machine: it follows the records, and answers nobody else."""

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from time import sleep

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
    return page(board(folder, empty_ok=True), vega="", live=True)


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind((serving.HOST, 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def port(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server over ``runs``, in a thread of its own."""
    monkeypatch.setattr(serving, "POLL", 0.05)
    quick = serving.SCRIPT.replace("1000", "50").replace("2000", "200")
    monkeypatch.setattr(serving, "SCRIPT", quick)
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


def test_a_folder_that_is_not_there_yet_has_a_page_already(port: int) -> None:
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
    assert ask(port, "/version", Host=host).status == 403


@pytest.mark.parametrize("path", ["/x", "/..", "/record.json", "/version/"])
def test_there_is_one_page(port: int, path: str) -> None:
    assert ask(port, path).status == 404


def test_the_version_is_the_pages_and_changes_with_it(port: int, put: Put) -> None:
    first = ask(port, "/version").read()
    assert f'data-version="{first.decode()}"'.encode() in ask(port, "/").read()
    put(0.5)
    for _ in range(200):
        if ask(port, "/version").read() != first:
            break
        sleep(0.02)
    assert ask(port, "/version").read() != first


def test_the_same_records_are_the_same_version_to_another_server(runs: Path, put: Put) -> None:
    put(0.5)
    one, other = serving.Site(runs, drawn), serving.Site(runs, drawn)
    assert (one.look(), other.look()) == (True, True)
    assert one.version == other.version
    put(0.6, mixer="new")
    assert other.look()
    assert one.version != other.version


def test_pages_in_a_browser_follow_the_records(port: int, put: Put, browser: Browser) -> None:
    """As many as one likes, of which none disturbs its reader."""
    put(0.5, mixer="first")
    with closing(browser.new_context()) as room:
        faults: list[str] = []
        tabs = [room.new_page() for _ in range(8)]
        for tab in tabs:
            tab.set_default_timeout(10_000)
            tab.on("pageerror", lambda error: faults.append(str(error)))
            tab.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
            tab.goto(f"http://{serving.HOST}:{port}/")
            expect(tab.locator("body")).to_contain_text("first")
        seen, reader = tabs[0], tabs[1]
        seen.locator("#search").fill("s")
        reader.locator(".rows .open").first.click()
        put(0.7, mixer="newcomer")
        for tab in (seen, tabs[-1]):
            expect(tab.locator("body")).to_contain_text("newcomer")
        assert seen.locator("#search").input_value() == "s"
        assert seen.evaluate("document.activeElement.id") == "search"
        reader.wait_for_timeout(500)
        assert "newcomer" not in reader.locator("body").inner_text()
        assert reader.locator("dialog[open]").count() == 1
        reader.keyboard.press("Escape")
        expect(reader.locator(".rows")).to_contain_text("newcomer")
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


def test_a_problem_is_told_once_and_ends_nothing(
    runs: Path, put: Put, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "POLL", 0.01)
    put(0.5)
    ended, drawings = Event(), []

    def draw(folder: Path) -> bytes:
        drawings.append(folder)
        if len(drawings) == 2:
            put(0.6, mixer="second")
        if len(drawings) == 6:
            ended.set()
        if 1 < len(drawings) < 6:
            raise PermissionError("locked")
        return b"<html>"

    site = Thread(target=serving.serve, args=(runs, 0, draw, ended))
    site.start()
    sleep(0.1)
    put(0.7, mixer="third")
    site.join(10)
    assert not site.is_alive()
    assert capsys.readouterr().err.count("problem: locked") == 1
