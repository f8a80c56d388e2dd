"""A browser to open the page in, and a board that has something of everything."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Error,
    Page,
    Request,
    sync_playwright,
)

from zoo.profile.record import Machine, Miss, Point, Profile, Timing
from zoo.record import Record
from zoo_leaderboard.arrange import arrange
from zoo_leaderboard.page import page
from zoo_leaderboard.read import Board

OpenPage = Callable[..., Page]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-quic", "--disable-background-networking", "--disable-component-update")
HOSTILE = "</script><img src=x onerror=alert(1)>\u202eabc"
DRAWN = """() => document.documentElement.dataset.ready
  && !document.querySelector(".view:not([hidden]) [aria-busy]")"""
SHOW = """(hash) => {
  history.replaceState(null, "", `#${hash}`);
  dispatchEvent(new PopStateEvent("popstate"));
}"""


class Faults(list[str]):
    """What went wrong in a page: messages, errors, dialogs, and whatever it tried to load."""

    def watch(self, page: Page) -> None:
        """Hear it all."""
        page.on("console", self.heard)
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("dialog", self.asked)
        page.on("request", self.loading)

    def heard(self, message: ConsoleMessage) -> None:
        """Warnings count too."""
        if message.type in ("error", "warning"):
            self.append(f"console {message.type}: {message.text}")

    def asked(self, dialog: Dialog) -> None:
        """A name that was run as a script."""
        self.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def loading(self, request: Request) -> None:
        """A page from a file has no need of anything else."""
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.append(f"request of {request.url}")


@pytest.fixture(scope="module")  # its event loop should not outlast those who need it
def browser() -> Iterator[Browser]:
    """Headless Chromium: Debian's or Playwright's own; `ZOO_CHROMIUM` names another."""
    named = os.environ.get("ZOO_CHROMIUM")
    program = named or next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        try:
            made = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        except Error as error:
            if named:
                raise
            pytest.skip(f"no Chromium can be launched: {error.message.splitlines()[0]}")
        yield made
        made.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[OpenPage]:
    """Write a page to a file and open it from there; nothing in it may fail or load anything."""
    faults, rooms = Faults(), []

    def opened(
        content: Any, hash: str = "", *, width: int = 1280, height: int = 900, **context: Any
    ) -> Page:
        """``content``: a Board or the bytes of a page; ``context`` goes to ``new_context``."""
        file = tmp_path / "page.html"
        file.write_bytes(content if isinstance(content, bytes) else page(content))
        room = browser.new_context(viewport={"width": width, "height": height}, **context)
        rooms.append(room)
        made = room.new_page()
        made.set_default_timeout(20_000)
        faults.watch(made)
        made.goto(f"{file.as_uri()}#{hash}" if hash else file.as_uri())
        return made

    yield opened
    for room in rooms:
        room.close()
    assert not faults


def until(page: Page, condition: str) -> None:
    """Wait for it; Playwright's own way evaluates strings, which the page's policy forbids."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(condition)


@pytest.fixture(name="until", scope="session")
def _until() -> Callable[[Page, str], None]:
    return until


@pytest.fixture(scope="session")
def drawn() -> Callable[[Page], Page]:
    """Wait until every chart in view stands as it should."""

    def wait(page: Page) -> Page:
        until(page, DRAWN)
        return page

    return wait


@pytest.fixture(scope="session")
def hostile() -> str:
    """A name that bites where it is taken for markup."""
    return HOSTILE


@pytest.fixture(scope="module")
def rich(make: Callable[..., Record]) -> Board:
    """Something of everything: suites, curves, sweeps, profiles, failures, names that bite."""
    records = []

    def put(*args: Any, **options: Any) -> None:
        records.append(make(*args, **options))

    for seed in range(3):
        for i, (mixer, family) in enumerate(
            (("attention", "attention"), ("mamba", "ssm"), ("s4d", "ssm"), (HOSTILE, "x<b>"))
        ):
            more = {"seed": seed, "mixer": mixer, "family": family, "speed": 1000.0 + 300 * i}
            curve = {n: 0.9 - n * i / 200 for n in (8, 16, 32)}
            score = 0.4 + i / 20 + seed / 100
            put(score, **more, curve=curve, trained_to=8, averages={"Avg5": ["lra/listops"]})
            if i < 2:
                put(score, **more, task="lra/image")
    put(None, mixer="longformer", status="oom", family="sparse")
    put(0.5, task="copy", budget="smoke")
    for lr, valid in ((1e-4, 0.3), (1e-3, 0.8), (3e-3, 0.79), (1e-2, 0.2)):
        for seed in range(2):
            course = {step: 3 / step + seed / 9 for step in (1, 10, 100)}
            scores = {step: valid * (1 - 1 / step) for step in (1, 10, 100)}
            put(
                valid - 0.1, task="copy", seed=seed, lr=lr, valid=valid + seed / 100,
                losses=course, validated=scores,
            )  # fmt: skip
    times = (1.0, 2.0, 5.0, 17.0, 66.0, 260.0)
    profiles = (profile("attention", times), profile("mamba", None))
    return Board(arrange(records)[0], profiles, ())


def profile(mixer: str, times: tuple[float, ...] | None) -> Profile:
    """Costs at six lengths; the longest ran out of memory where no times are given."""
    points = []
    for i in range(6):
        ms = times[i] if times else 3.0 * 2**i
        full = not times and i == 5
        timing = Timing(median=ms, low=ms * 0.9, high=ms * 1.1, n=7)
        point = Point(
            length=256 * 2**i,
            forward_ms=None if full else timing,
            missing={"forward_ms": Miss(kind="oom", reason="<i>no</i> memory left")}
            if full
            else {},
            forward_bytes=10_000 * 2**i,
            flops=1e6 * 4**i,
            moved_bytes=1e5 * 2**i,
            least_bytes=1e4 * 2**i,
        )
        points.append(point)
    return Profile(
        profile_id=f"{mixer}-1",
        session="2026-11-20T10:00:00+00:00",
        subject="mixer",
        mixer=mixer,
        options={},
        position="none",
        family="attention" if times else "ssm",
        kernel="torch",
        complexity="l^2" if times else "l",
        dim=256,
        depth=1,
        batch=1,
        direction="causal",
        params=1000,
        points=points,
        machine=Machine(
            device="cpu: 2 cores", precision="fp32", torch="2.13", python="3.11", threads=2,
            matmul_flops=1e11, bandwidth=1e10,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def faults() -> Faults:
    """Those of the page that a module shares."""
    return Faults()


@pytest.fixture(scope="module")
def tab(
    browser: Browser, rich: Board, faults: Faults, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The page of ``rich``, opened once for a module."""
    file = tmp_path_factory.mktemp("tab") / "page.html"
    file.write_bytes(page(rich))
    room = browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    made = room.new_page()
    made.set_default_timeout(10_000)
    faults.watch(made)
    made.goto(file.as_uri())
    yield made
    room.close()


@pytest.fixture
def show(tab: Page, faults: Faults) -> Iterator[Callable[[str], Page]]:
    """Bring that page to an address, and wait until its charts stand."""

    def shown(hash: str = "") -> Page:
        tab.evaluate(SHOW, hash)
        until(tab, DRAWN)
        return tab

    yield shown
    assert not faults
