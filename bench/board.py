"""How long the board takes: `python bench/board.py [--records 10000]`.

Writes synthetic records the size of real ones into a temporary folder (6 kB each, a hundred points
of loss, three seeds a row), then prints the median over rounds of reading them, of arranging them
into tracks and rows, and of making the document, in seconds of processor time and of the clock.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any, TypeVar

from zoo.identity import digest
from zoo.record import Record, dump
from zoo_leaderboard.document import document
from zoo_leaderboard.read import board

T = TypeVar("T")
SEEDS, ROWS = 3, 160


def content(i: int) -> dict[str, Any]:
    """Record ``i``: three seeds a row, 160 rows a track."""
    row, seed = divmod(i, SEEDS)
    task, row = divmod(row, ROWS)
    value = 0.3 + 0.6 * ((row * 7919 + seed * 104729) % 1000) / 1000
    name = f"mixer{row % 16}"
    options = {"heads": 2 ** (row // 16 % 5), "state": 16 * (1 + row // 80), "kernel": "auto"}
    config = {
        "task": {"name": f"suite{task % 3}/task{task}", "protocol": "zoo", "root": ""},
        "mixer": {"name": name, **options},
        "position": {"name": "none"},
        "channel": {"name": "mlp", "expand": 4.0859375},
        "block": {"name": "prenorm", "norm": "rms", "dropout": 0.0},
        "pattern": [],
        "seed": seed,
        "budget": "cpu",
        "match": "params:50k",
        "dim": 35,
        "depth": 2,
        "steps": 3000,
        "batch_size": 32,
        "lr": 0.004,
        "schedule": "cosine",
        "precision": "32",
        "workers": 0,
        "loggers": ["csv", "tensorboard"],
    }
    metric = {"split": "test", "higher_is_better": True, "chance": 0.1, "n": 1000}
    lengths = (256, 512, 1024, 2048, 4096)
    return {
        "schema_version": 2,
        "run_id": digest({"i": i})[:12],
        "status": "diverged" if i % 37 == 0 else "ok",
        "task": {"name": f"suite{task % 3}/task{task}", "id": f"{task:012x}", "protocol": "zoo"}
        | {"budget": "cpu"},
        "mixer": {"name": name, "options": options, "kernel": "numba", "family": f"f{row % 5}"},
        "config": config,
        "config_sha256": digest(config),
        "seed": seed,
        "metrics": {
            "accuracy": {**metric, "value": value},
            "valid_accuracy": {**metric, "value": value, "split": "valid"},
        },
        "headline": "accuracy",
        "losses": {str(step): 3.0 / (1 + step / 300) for step in range(30, 3001, 30)},
        "validated": {str(step): value * step / 3000 for step in range(500, 3001, 500)},
        "best_step": 3000,
        "efficiency": {
            "params": 50_000 + row * 97,
            "flops_per_token": {"closed_form": 1e5 + row},
            "train_tokens_per_s": 1e4 + row,
            "peak_memory_bytes": 10_000_000 + row,
            "forward_ms": {str(n): {"median": 0.5 + n / 900, "iqr": 0.01} for n in lengths},
            "decode_ms_per_token": 0.2,
            "state_bytes": {str(n): 4096 for n in lengths},
        },
        "env": {"commit": "4351596", "dirty": False, "python": "3.11", "torch": "2.13"}
        | {"device": "cpu: 2 cores", "precision": "fp32", "deterministic": True}
        | {"plugins": {"mixer-zoo": "0.1.0"}},
        "data": {"name": "generated", "sha256": None, "source": "generated"},
        "started": f"2026-11-01T10:{i % 60:02d}:00+00:00",
        "seconds": 12.5,
        "steps": 3000,
        "tokens": 51_200,
    }


def fill(folder: Path, count: int) -> None:
    """A folder a run, as the runner leaves them."""
    for i in range(count):
        one = content(i)
        place = folder / one["task"]["name"] / one["mixer"]["name"] / one["run_id"]
        place.mkdir(parents=True)
        (place / "record.json").write_text(dump(Record.model_validate(one)))


def timed(call: Callable[[], T]) -> tuple[T, float, float]:
    """The result, seconds of processor time, seconds of the clock."""
    clock, processor = perf_counter(), process_time()
    made = call()
    return made, process_time() - processor, perf_counter() - clock


def main() -> None:
    """Print one line a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    spent: dict[str, list[tuple[float, float]]] = {}
    with TemporaryDirectory() as place:
        fill(Path(place), asked.records)
        for _ in range(asked.rounds):
            whole, *cost = timed(lambda: board(Path(place)))
            spent.setdefault("board", []).append((cost[0], cost[1]))
            made, *cost = timed(lambda: document(whole))  # noqa: B023 - called at once
            spent.setdefault("document", []).append((cost[0], cost[1]))
            text, *cost = timed(lambda: json.dumps(made))  # noqa: B023 - called at once
            spent.setdefault("to JSON", []).append((cost[0], cost[1]))
    rows = sum(len(track["rows"]) for track in made["tracks"])
    size = len(text) / 1e6
    print(f"{asked.records} records, {rows} rows, document {size:.1f} MB, rounds {asked.rounds}")
    for stage, costs in spent.items():
        processor, clock = (median(column) for column in zip(*costs, strict=True))
        print(f"{stage:10} {processor:6.2f} s of processor {clock:6.2f} s of the clock")


if __name__ == "__main__":
    main()
