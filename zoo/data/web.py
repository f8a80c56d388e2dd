"""One file over HTTP: resumed, tried again when it is cut, and checked while it streams."""

import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

from zoo.data.advance import advancing, note
from zoo.data.checksum import BLOCK, absorb, hasher, mismatch
from zoo.data.source import sized, storing
from zoo.errors import DataError

TIMEOUT = 20.0
"""Seconds without a byte after which a connection counts as cut."""
PAUSES = (1.0, 3.0, 9.0)
"""Seconds before each new attempt; after one that brought something, from the first on again."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may soon be another."""


class Cut(Exception):
    """The connection failed in a way that may pass."""


class Stale(Exception):
    """What is here already is not the beginning of what the server has."""


class Known(NamedTuple):
    """What a server said of the file of which a part is here."""

    url: str = ""
    validator: str | None = None
    """A strong ETag or the date of the last change: what If-Range takes."""
    total: int | None = None


def download(url: str, to: Path, *, size: int | None, digest: str | None, title: str) -> None:
    """Bring ``url`` to ``to``; goes on with the part that an earlier call left beside it.

    Raises DataError when the server refuses, stays away or sends something else, and DiskFull.
    """
    transfer = Transfer(url, to.with_name(f"{to.name}.part"), size, digest, title)
    failures = restarts = 0
    while True:
        before = transfer.have
        try:
            transfer.attempt()
            break
        except Stale:
            transfer.forget()
            restarts += 1
            if restarts > len(PAUSES):
                raise DataError(f"{url} changes while it is downloaded") from None
            note(f"{title}: the part that is here belongs to another file; starting anew")
        except Cut as cut:
            failures = 0 if transfer.have > before else failures
            if failures == len(PAUSES):
                raise DataError(f"{url}: {cut}") from cut
            note(f"{title}: {cut}; going on at {sized(transfer.have)} in {PAUSES[failures]:g} s")
            time.sleep(PAUSES[failures])
            failures += 1
    with storing(to):
        transfer.part.replace(to)
        transfer.forget()


class Transfer:
    """A file on its way: the part that is here, and what is known of the whole."""

    def __init__(
        self, url: str, part: Path, size: int | None, digest: str | None, title: str
    ) -> None:
        self.url, self.part, self.title = url, part, title
        self.size, self.digest = size, digest
        self.notes = part.with_name(f"{part.name}.json")

    @property
    def have(self) -> int:
        """Bytes that are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        """Take away the part and what is known of it."""
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def attempt(self) -> None:
        """One connection. Raises Cut or Stale when the next may do better, DataError when not."""
        known = self.known()
        if not (self.digest or (known.url == self.url and known.validator)):
            self.forget()  # nothing would tell whether the rest belongs to it
        have = self.have
        found = hasher(self.digest)
        if have and self.digest:
            absorb(found, self.part)
        if not have or have != (self.size or known.total):
            with self.ask(have, known) as response:
                start, total = self.extent(response, known)
                if start not in (0, have):
                    raise Stale
                if start == 0:
                    found = hasher(self.digest)
                    self.remember(response, total)
                self.copy(response, start, total, found)
                have = start
        wrong = mismatch(found, self.digest)
        if self.size is not None and self.have != self.size:
            wrong = f"it has {self.have:,} bytes, not {self.size:,}"
        if wrong:
            self.forget()
            if have:  # the beginning was from another day, or from another mirror
                raise Stale
            raise DataError(f"{self.url}: {wrong}")

    def ask(self, have: int, known: Known) -> Any:
        """The open answer to a request for what lies behind ``have``."""
        request = urllib.request.Request(self.url)
        request.add_header("User-Agent", f"mixer-zoo/{version('mixer-zoo')} (zoo data fetch)")
        if have:
            request.add_header("Range", f"bytes={have}-")
            if known.url == self.url and known.validator:
                request.add_header("If-Range", known.validator)
        try:
            return urllib.request.build_opener(NoDowngrade).open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                raise Stale from error
            words = plain(f"answers {error.code} {error.reason}")
            if error.code in PASSING:
                raise Cut(words) from error
            raise DataError(f"{self.url} {words}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # a bad address in it
            reason = getattr(error, "reason", error)
            passing = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
            rude = (TimeoutError, http.client.HTTPException, ssl.SSLEOFError)
            if isinstance(reason, (*passing, *rude)):
                raise Cut(plain(f"no answer ({reason})")) from error
            raise DataError(plain(f"{self.url} cannot be reached: {reason}")) from error

    def extent(self, response: Any, known: Known) -> tuple[int, int | None]:
        """Where the answer begins, and how long the whole file is."""
        start, total = 0, response.headers.get("Content-Length")
        if response.status == 206:
            span = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not span:
                raise Stale
            start, total = int(span[1]), span[2]
        elif response.status != 200:
            raise DataError(plain(f"{self.url} answers {response.status} {response.reason}"))
        whole = int(total) if total and total.isdecimal() else None
        if start and known.total is not None and whole not in (None, known.total):
            raise Stale
        if self.size is not None and whole not in (None, self.size):
            raise DataError(f"{self.url}: it has {whole:,} bytes there, not {self.size:,}")
        return start, whole

    def copy(self, response: Any, start: int, total: int | None, found: Any) -> None:
        """Append what comes to the part, and to the hash."""
        with (
            storing(self.part),
            self.part.open("ab" if start else "wb") as file,
            advancing(self.title, total or self.size, start=start, unit="bytes") as advance,
        ):
            while block := _read(response):
                file.write(block)
                found.update(block)
                advance(len(block))
                if self.size is not None and file.tell() > self.size:
                    break  # it might go on until the disk is full
            file.flush()
            os.fsync(file.fileno())
        if total is not None and self.have < total:
            raise Cut("the connection was cut")

    def known(self) -> Known:
        """What was noted when the part was begun."""
        try:
            return Known(**json.loads(self.notes.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Known()

    def remember(self, response: Any, total: int | None) -> None:
        """Note what tells later whether the file is still the same."""
        tag = response.headers.get("ETag")
        strong = tag if tag and not tag.startswith("W/") else None
        known = Known(self.url, strong or response.headers.get("Last-Modified"), total)
        with storing(self.part):
            self.part.unlink(missing_ok=True)  # the old part is no beginning of this file
            self.notes.write_text(json.dumps(known._asdict()), encoding="utf-8")


def _read(response: Any) -> bytes:
    """What has come, at most a block; empty at the end. Raises Cut."""
    try:
        block: bytes = response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise Cut(f"the connection was cut ({str(error) or type(error).__name__})") from error
    return block


def plain(words: str) -> str:
    """A server's words in one line, without what would move a terminal's cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())


class NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follow no redirect from https to http, where nobody vouches for the bytes."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DataError(f"{req.full_url} leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
