"""Records that a test can place: valid ones, so that only what a test changes is unusual; and a
browser to open the page in.
"""

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

from zoo.identity import digest
from zoo.record import (
    Data,
    Efficiency,
    Env,
    Failure,
    FlopsPart,
    Metric,
    MixerPart,
    Record,
    Spread,
    Status,
    TaskPart,
    write,
)

Put = Callable[..., Record]
OpenPage = Callable[..., Page]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-quic", "--disable-background-networking", "--disable-component-update")


def record(
    value: float | None = 0.5,
    *,
    mixer: str = "mamba",
    task: str = "lra/listops",
    task_id: str = "0123456789ab",
    protocol: str = "zoo",
    budget: str = "cpu",
    seed: int = 0,
    status: Status = "ok",
    options: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    kernel: str | None = "torch",
    family: str = "ssm",
    device: str = "cpu: 2 cores",
    precision: str = "fp32",
    headline: str = "accuracy",
    higher_is_better: bool = True,
    chance: float | None = 0.1,
    params: int | None = 200_000,
    state_bytes: dict[int, int] | None = None,
    started: str = "2026-11-01T10:00:00+00:00",
    run_id: str | None = None,
    speed: float | None = 1000.0,
    averages: dict[str, list[str]] | None = None,
    prescribed: list[str] | None = None,
    curve: dict[int, float] | None = None,
    trained_to: int | None = None,
    lr: float = 0.001,
    valid: float | None = None,
    losses: dict[int, float] | None = None,
    validated: dict[int, float] | None = None,
    forward_ms: dict[int, float] | None = None,
    commit: str | None = "4351596",
) -> Record:
    config = {"seed": seed, "lr": lr, **(config or {})}
    metric = Metric(
        value=value, split="test", higher_is_better=higher_is_better, chance=chance, n=1000
    )
    times = forward_ms or {512: 1.5}
    valid_metric = metric.model_copy(update={"value": valid, "split": "valid"})
    metrics = {headline: metric} | ({} if valid is None else {f"valid_{headline}": valid_metric})
    named = {"task": task, "mixer": mixer, "started": started, "options": options or {}, **config}
    return Record(
        run_id=run_id or digest({**named, "protocol": protocol, "device": device})[:12],
        status=status,
        failure=None if status == "ok" else Failure(type=status, message="why", phase="train"),
        task=TaskPart(
            name=task, id=task_id, protocol=protocol, budget=budget, averages=averages or {},
            trained_to=trained_to,
        ),
        mixer=MixerPart(
            name=mixer,
            options=options or {},
            prescribed=prescribed or [],
            kernel=kernel,
            family=family,
        ),
        config=config,
        config_sha256=digest(config),
        seed=seed,
        metrics=metrics if status == "ok" else {},
        headline=headline,
        curve=curve or {},
        losses=losses or {},
        validated=validated or {},
        efficiency=Efficiency(
            params=params,
            flops_per_token=FlopsPart(closed_form=1e6),
            train_tokens_per_s=speed,
            peak_memory_bytes=50_000_000,
            forward_ms={n: Spread(median=v, iqr=0.1) for n, v in times.items()},
            decode_ms_per_token=0.2,
            state_bytes={512: 4096} if state_bytes is None else state_bytes,
        ),
        env=Env(
            commit=commit, dirty=False, python="3.11", torch="2.13", device=device,
            precision=precision, deterministic=True, plugins={"mixer-zoo": "0.1.0"},
        ),
        data=Data(name="listops", sha256=None, source="generated"),
        started=started,
        seconds=12.5,
        steps=100,
        tokens=51_200,
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder for records."""
    return tmp_path / "runs"


@pytest.fixture
def make() -> Put:
    """Build a record."""
    return record


@pytest.fixture
def put(runs: Path) -> Put:
    """Build a record and write it below ``runs``."""

    def placed(*args: Any, **options: Any) -> Record:
        one = record(*args, **options)
        place = runs / str(len(list(runs.glob("*")))) / "record.json"
        write(one, place)
        return one

    return placed


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
    faults: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"console {message.type}: {message.text}")

    def asked(dialog: Dialog) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def loading(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            faults.append(f"request of {request.url}")

    def opened(
        content: Any, hash: str = "", *, width: int = 1280, height: int = 900, **context: Any
    ) -> Page:
        """``content``: a Board or the bytes of a page; ``context`` goes to ``new_context``."""
        if not isinstance(content, bytes):
            from zoo_leaderboard.page import page

            content = page(content)
        file = tmp_path / "page.html"
        file.write_bytes(content)
        room = browser.new_context(viewport={"width": width, "height": height}, **context)
        made = room.new_page()
        made.set_default_timeout(20_000)
        made.on("console", heard)
        made.on("pageerror", lambda error: faults.append(f"error: {error}"))
        made.on("dialog", asked)
        made.on("request", loading)
        made.goto(f"{file.as_uri()}#{hash}" if hash else file.as_uri())
        return made

    yield opened
    for room in browser.contexts:
        room.close()
    assert not faults
