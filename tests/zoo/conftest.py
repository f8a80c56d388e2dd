"""A server of small files on the loopback that misbehaves as it is told, and a data folder."""

import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from zoo.data import web


class Shop:
    """Serves ``goods`` by path; ``script`` says what the next answers for a path shall be.

    An answer is a status, `cut:N` (N bytes of the body, then the line is dead), `stall:N` (N
    bytes, then nothing comes until ``let_go``), or what it says word for word: `HTTP/1.1 ...`.
    """

    def __init__(self) -> None:
        self.goods: dict[str, bytes] = {}
        self.script: dict[str, list[str]] = {}
        self.asked: list[tuple[str, str | None]] = []
        """Path and Range of every request."""
        self.agents: set[str] = set()
        self.ranges = True
        self.tags = True
        self.weak = False
        """Whether the tags promise no equal bytes."""
        self.let_go = threading.Event()
        self.stalled = threading.Event()
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def offer(self, path: str, content: bytes) -> str:
        """Put it on the counter; returns its URL."""
        self.goods[path] = content
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def serve(self, to: BaseHTTPRequestHandler) -> None:
        path, span = to.path.lstrip("/"), to.headers.get("Range")
        self.asked.append((path, span))
        self.agents.add(to.headers.get("User-Agent", ""))
        act = self.script[path].pop(0) if self.script.get(path) else ""
        if act.startswith("HTTP"):
            to.wfile.write(act.encode())
            return
        if act.isdecimal() or path not in self.goods:
            to.send_error(int(act or 404))
            return
        body = self.goods[path]
        tag = "W/" * self.weak + f'"{sha256(body).hexdigest()[:8]}"'
        start = 0
        if span and self.ranges and to.headers.get("If-Range", tag) == tag:
            start = int(span.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                to.send_error(416)
                return
            to.send_response(206)
            to.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            to.send_response(200)
        if self.tags:
            to.send_header("ETag", tag)
        to.send_header("Content-Length", str(len(body) - start))
        to.end_headers()
        word, _, count = act.partition(":")
        to.wfile.write(body[start : start + int(count) if count else None])
        if word == "stall":
            to.wfile.flush()
            self.stalled.set()
            self.let_go.wait(20)
            to.wfile.write(body[start + int(count) :])

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(web, "PAUSES", (0.0, 0.0, 0.0))
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("ZOO_DATA", str(folder))
    return folder
