"""`zoo leaderboard --serve`: the page on this machine, loaded anew as runs finish."""

import sys
from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

from zoo.errors import ZooError
from zoo_leaderboard.files import found
from zoo_leaderboard.wording import visible

HOST = "127.0.0.1"
POLL = 1.0  # seconds between looks at the folder

# A short question a second: a line that stays open for each tab would block the seventh, for a
# browser opens no more than six to one server. Who reads or types is not interrupted, the view
# stands in the address, and what had the focus has it again.
SCRIPT = """
const seen = document.documentElement.dataset.version, kept = sessionStorage.getItem("focus");
let touched = 0;
const named = (one) => one.dataset?.focus ?? one.id;
const reading = () => document.querySelector("dialog[open], .menu[open]") || performance.now() - touched < 2000;
async function follow() {
  try {
    const answer = document.hidden ? null : await fetch("/version");
    if (answer?.ok && (await answer.text()) !== seen && !reading()) {
      sessionStorage.setItem("focus", named(document.activeElement) ?? "");
      return location.reload();
    }
  } catch {} // nobody serves just now
  setTimeout(follow, 1000);
}
for (const kind of ["keydown", "pointerdown"]) addEventListener(kind, (event) => { touched = event.timeStamp; }, true);
if (kept) [...document.querySelectorAll("[data-focus], [id]")].find((one) => named(one) === kept)?.focus({ preventScroll: true });
setTimeout(follow, 1000);
"""  # noqa: E501 - JavaScript

Snapshot = dict[Path, tuple[int, int]]


class Site:
    """The page of a folder, drawn once for each state that the folder's records are seen in."""

    def __init__(self, folder: Path, draw: Callable[[Path], bytes]) -> None:
        self.folder, self.draw = folder, draw
        self.version, self.content = "", b""
        self._seen: Snapshot | None = None

    def look(self) -> bool:
        """Draw the page anew if a record came, went or changed; says whether it did."""
        now = snapshot(self.folder)
        if now == self._seen:
            return False
        content = self.draw(self.folder)
        # By its content, not counted: a page outlives the server that drew it.
        self.version = sha256(content).hexdigest()[:16]
        self.content = content.replace(b"<html", f'<html data-version="{self.version}"'.encode(), 1)
        self._seen = now
        return True


def snapshot(folder: Path) -> Snapshot:
    """Size and time of every record below ``folder``; one that vanishes meanwhile is not there."""
    facts = {}
    for path in found(folder, []):
        try:
            told = path.stat()
        except OSError:
            continue
        facts[path] = (told.st_mtime_ns, told.st_size)
    return facts


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    """Answers for ``/`` and ``/version``, to this machine and to no other name."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = (self.headers.get("Host") or "").rpartition(":")[0]
            if name not in (HOST, "localhost"):  # a page elsewhere whose name leads here
                self.send_error(HTTPStatus.FORBIDDEN, "this board is for this machine alone")
            elif self.path == "/":
                self.tell("text/html; charset=utf-8", site.content)
            elif self.path == "/version":
                self.tell("text/plain", site.version.encode())
            else:
                self.send_error(HTTPStatus.NOT_FOUND, "there is one page: /")

        def tell(self, kind: str, content: bytes) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

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
        server = Server((HOST, port), handler(site))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ZooError(f"--port {port}: {reason}; name another, 0 for any that is free") from error
    Thread(target=server.serve_forever, daemon=True).start()
    where = f"http://{HOST}:{server.server_port}/"
    print(f"serving {visible(str(folder))} at {where} (Ctrl-C ends)", file=sys.stderr, flush=True)
    told = ""
    try:
        while not ended.wait(POLL):
            try:
                site.look()
                told = ""
            except (ZooError, OSError) as error:  # the page that is there stays
                words = f"problem: {visible(str(error))}"
                if words != told:  # once, though it is tried every second
                    print(words, file=sys.stderr, flush=True)
                told = words
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
