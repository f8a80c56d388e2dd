"""Records that a test can place: valid ones, so that only what a test changes is unusual."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(scope="session")
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
