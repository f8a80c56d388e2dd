"""A download resumes what was cut, starts anew what has changed and believes checksums only."""

import hashlib
import http.client
import io
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import zoo
from zoo.data import web

if TYPE_CHECKING:
    from tests.zoo.conftest import Shop

CONTENT = bytes(range(256)) * 1000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def get(url: str, to: Path, *, size: int | None = None, digest: str | None = DIGEST) -> bytes:
    web.download(url, to, size=size, digest=digest, title="toy")
    assert [path.name for path in to.parent.iterdir()] == [to.name]  # no part, no notes
    return to.read_bytes()


@pytest.mark.parametrize("digest", [None, DIGEST, f"md5:{hashlib.md5(CONTENT).hexdigest()}"])
def test_a_file_comes_as_it_is(shop: "Shop", tmp_path: Path, digest: str | None) -> None:
    url = shop.offer("toy", CONTENT)
    assert get(url, tmp_path / "toy", size=len(CONTENT), digest=digest) == CONTENT
    assert shop.asked == [("toy", None)]
    assert all(agent.startswith("mixer-zoo/") for agent in shop.agents)


def test_an_empty_file_is_a_file(shop: "Shop", tmp_path: Path) -> None:
    assert get(shop.offer("toy", b""), tmp_path / "toy", size=0, digest=None) == b""


def test_a_wrong_checksum_keeps_nothing(shop: "Shop", tmp_path: Path) -> None:
    url = shop.offer("toy", CONTENT[:-1] + b"!")
    with pytest.raises(zoo.DataError, match=r"its sha256 is \w{64}, not " + DIGEST[7:]):
        get(url, tmp_path / "toy")
    assert not list(tmp_path.iterdir())


def test_a_wrong_size_is_seen_before_the_content(shop: "Shop", tmp_path: Path) -> None:
    url = shop.offer("toy", CONTENT)
    with pytest.raises(zoo.DataError, match="it has 256,000 bytes there, not 7"):
        get(url, tmp_path / "toy", size=7)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("digest", [None, DIGEST])
def test_a_cut_connection_goes_on_where_it_was_cut(
    shop: "Shop", tmp_path: Path, digest: str | None
) -> None:
    shop.script["toy"] = ["cut:100000", "cut:50000"]
    assert get(shop.offer("toy", CONTENT), tmp_path / "toy", digest=digest) == CONTENT
    assert [span for _, span in shop.asked] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_without_ranges_starts_anew(shop: "Shop", tmp_path: Path) -> None:
    shop.script["toy"] = ["cut:100000"]
    shop.ranges = False
    assert get(shop.offer("toy", CONTENT), tmp_path / "toy") == CONTENT
    assert len(shop.asked) == 2


@pytest.mark.parametrize("weak", [True, False])
def test_without_tag_and_checksum_nothing_is_gone_on_with(
    shop: "Shop", tmp_path: Path, weak: bool
) -> None:
    shop.script["toy"] = ["cut:100000"]
    shop.tags = shop.weak = weak
    assert get(shop.offer("toy", CONTENT), tmp_path / "toy", digest=None) == CONTENT
    assert shop.asked == [("toy", None)] * 2


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("before", [300_000, len(CONTENT)])
def test_a_file_that_changed_meanwhile_starts_anew(
    shop: "Shop", tmp_path: Path, tags: bool, before: int
) -> None:
    """With a tag the server says so, without one the length or the checksum does."""
    shop.tags = tags
    shop.script["toy"] = ["cut:1000"] * 4
    url = shop.offer("toy", bytes(before))
    shop.script["toy"] += ["403"]
    with pytest.raises(zoo.DataError):
        get(url, tmp_path / "toy")
    assert (tmp_path / "toy.part").stat().st_size == 4000
    shop.offer("toy", CONTENT)
    assert get(url, tmp_path / "toy") == CONTENT


def test_a_part_longer_than_the_file_starts_anew(shop: "Shop", tmp_path: Path) -> None:
    (tmp_path / "toy.part").write_bytes(CONTENT + b"more")
    assert get(shop.offer("toy", CONTENT), tmp_path / "toy") == CONTENT
    assert [span for _, span in shop.asked] == ["bytes=256004-", None]


def test_a_part_that_is_whole_is_not_asked_for(shop: "Shop", tmp_path: Path) -> None:
    (tmp_path / "toy.part").write_bytes(CONTENT)
    assert get(shop.url("gone"), tmp_path / "toy", size=len(CONTENT)) == CONTENT
    assert shop.asked == []


def test_a_part_of_one_mirror_serves_the_next(shop: "Shop", tmp_path: Path) -> None:
    shop.script["a"] = ["cut:100000", "403"]
    a, b = shop.offer("a", CONTENT), shop.offer("b", CONTENT)
    with pytest.raises(zoo.DataError, match=r"/a answers 403 Forbidden"):
        get(a, tmp_path / "toy")
    assert get(b, tmp_path / "toy") == CONTENT
    assert shop.asked[-1] == ("b", "bytes=100000-")


def test_an_answer_that_may_pass_is_waited_for(shop: "Shop", tmp_path: Path) -> None:
    shop.script["toy"] = ["503", "429"]
    assert get(shop.offer("toy", CONTENT), tmp_path / "toy") == CONTENT


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("HTTP/1.1 403 \x1b[2JNo\x07\r\n\r\n", r"answers 403 \[2JNo$"),
        ("HTTP/1.1 302 Go\r\nLocation: /toy\r\n\r\n", r"answers 302 .*infinite loop\..* Go$"),
        ("HTTP/1.1 302 Go\r\nLocation: http://[bad\r\n\r\n", "cannot be reached: Invalid IPv6"),
        ("HTTP/1.1 302 Go\r\nLocation: file:///etc/hostname\r\n\r\n", "is not allowed$"),
        ("HTTP/1.1 206 Part\r\n\r\nit", "changes while it is downloaded"),
        ("HTTP/1.1 204 None\r\n\r\n", "answers 204 None"),
    ],
)
def test_a_strange_answer_is_told_in_one_line(
    shop: "Shop", tmp_path: Path, answer: str, told: str
) -> None:
    shop.script["toy"] = [answer] * 15
    with pytest.raises(zoo.DataError, match=told) as caught:
        get(shop.offer("toy", CONTENT), tmp_path / "toy")
    assert str(caught.value).isprintable()


def test_what_comes_without_end_is_cut_off(
    shop: "Shop", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "BLOCK", 1000)
    shop.script["toy"] = ["HTTP/1.1 200 OK\r\n\r\n" + "x" * 1_000_000]
    with pytest.raises(zoo.DataError, match=r"it has [1-9],000 bytes, not 700"):
        get(shop.url("toy"), tmp_path / "toy", size=700)


def test_an_answer_that_does_not_pass_is_given_up(shop: "Shop", tmp_path: Path) -> None:
    shop.script["toy"] = ["503"] * 9
    with pytest.raises(zoo.DataError, match="answers 503"):
        get(shop.offer("toy", CONTENT), tmp_path / "toy")
    assert len(shop.asked) == 1 + len(web.PAUSES)


def test_a_silent_server_counts_as_cut(
    shop: "Shop", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.2)
    shop.script["toy"] = ["stall:1000"]
    assert get(shop.offer("toy", CONTENT), tmp_path / "toy") == CONTENT
    assert shop.asked == [("toy", None), ("toy", "bytes=1000-")]


def test_nobody_at_the_door_is_said_at_once(tmp_path: Path, shop: "Shop") -> None:
    with pytest.raises(zoo.DataError, match=r"127\.0\.0\.1:1/toy cannot be reached: .*refused"):
        get("http://127.0.0.1:1/toy", tmp_path / "toy")


def test_https_is_not_left_for_http() -> None:
    request = urllib.request.Request("https://a.example/toy")
    headers = http.client.HTTPMessage()
    with pytest.raises(zoo.DataError, match="not https"):
        web.NoDowngrade().redirect_request(
            request,
            io.BytesIO(),
            302,
            "Found",
            headers,
            "http://a.example/toy",
        )
