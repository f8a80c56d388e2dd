"""`zoo leaderboard --serve`: the page on this machine, loaded anew as runs finish."""

import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Event, Thread

from zoo.errors import ZooError
from zoo_leaderboard.wording import visible

HOST = "127.0.0.1"
FILES = ("record.json", "profile.json")
POLL = 1.0  # seconds between looks at the folder
ALIVE = 15.0  # seconds after which a silent line is told that somebody is still there

SCRIPT = """
const seen = document.documentElement.dataset.version;
new EventSource(`/events?seen=${seen}`).addEventListener("board", () => {
  const busy = () => document.querySelector("dialog[open]") || document.activeElement?.matches("input[type=search]:focus");
  const reload = () => (busy() ? setTimeout(reload, 1000) : location.reload());
  reload();
});
"""  # noqa: E501 - JavaScript; the view stays as it is, since it stands in the address

Snapshot = dict[str, tuple[int, int]]


class Site:
    """The page of a folder, drawn once for each state that the folder's records are seen in."""

    def __init__(self, folder: Path, draw: Callable[[Path], bytes]) -> None:
        self.folder, self.draw = folder, draw
        self.version, self.content = 0, b""
        self._seen: Snapshot | None = None
        self._changed = Condition()

    def look(self) -> bool:
        """Draw the page anew if a record came, went or changed; says whether it did."""
        now = snapshot(self.folder)
        if now == self._seen:
            return False
        content = self.draw(self.folder)
        with self._changed:
            self._seen, self.version = now, self.version + 1
            # The page tells which it is, so that none is missed between loading and listening.
            told = f'<html data-version="{self.version}"'.encode()
            self.content = content.replace(b"<html", told, 1)
            self._changed.notify_all()
        return True

    def newer(self, seen: str, seconds: float) -> int:
        """The version, once it is another than the one seen or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: str(self.version) != seen, seconds)
            return self.version


def snapshot(folder: Path) -> Snapshot:
    """Size and time of every record below ``folder``; one that vanishes meanwhile is not there."""
    found = {}
    for name in FILES:
        for path in folder.rglob(name):
            try:
                facts = path.stat()
            except OSError:
                continue
            found[str(path)] = (facts.st_mtime_ns, facts.st_size)
    return found


def handler(site: Site, ended: Event) -> type[BaseHTTPRequestHandler]:
    """Answers for ``/`` and ``/events``, to this machine and to no other name."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = (self.headers.get("Host") or "").rpartition(":")[0]
            if name not in (HOST, "localhost"):  # a page elsewhere whose name leads here
                self.send_error(HTTPStatus.FORBIDDEN, "this board is for this machine alone")
            elif self.path == "/":
                self.page()
            elif self.path.startswith("/events?seen="):
                self.events(self.path.partition("=")[2])
            else:
                self.send_error(HTTPStatus.NOT_FOUND, "there is one page: /")

        def page(self) -> None:
            content = site.content
            self.head("text/html; charset=utf-8", {"Content-Length": str(len(content))})
            self.wfile.write(content)

        def events(self, seen: str) -> None:
            """A line that says `board` whenever the page is another than the one seen."""
            self.head("text/event-stream", {"Connection": "close"})
            self.close_connection = True
            try:
                while not ended.is_set():
                    now = str(site.newer(seen, ALIVE))
                    told = f"event: board\ndata: {now}\n\n" if now != seen else ": alive\n\n"
                    seen = now
                    self.wfile.write(told.encode())
                    self.wfile.flush()
            except OSError:
                return  # the reader has gone

        def head(self, kind: str, more: dict[str, str]) -> None:
            self.send_response(HTTPStatus.OK)
            always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
            for key, value in ({"Content-Type": kind} | always | more).items():
                self.send_header(key, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Silence: the terminal is for what happens to the records."""

    return Handler


class Server(ThreadingHTTPServer):
    """One thread a reader; none outlives the process."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up is no news; anything else is shown as it is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def serve(folder: Path, port: int, draw: Callable[[Path], bytes], ended: Event) -> None:
    """Until ``ended`` or Ctrl-C. Raises ZooError for a port that is taken."""
    site = Site(folder, draw)
    site.look()
    try:
        server = Server((HOST, port), handler(site, ended))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ZooError(f"--port {port}: {reason}; name another, 0 for any that is free") from error
    Thread(target=server.serve_forever, daemon=True).start()
    where = f"http://{HOST}:{server.server_port}/"
    print(f"serving {visible(str(folder))} at {where} (Ctrl-C ends)", file=sys.stderr, flush=True)
    try:
        while not ended.wait(POLL):
            try:
                site.look()
            except ZooError as error:  # the page that is there stays
                print(f"problem: {visible(str(error))}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
