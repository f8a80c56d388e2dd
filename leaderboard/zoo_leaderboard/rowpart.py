"""A row as JSON: its figures, its curves, and the runs that every figure comes from."""

from collections.abc import Sequence
from typing import Any

from zoo.record import Record
from zoo_leaderboard.column import COLUMNS
from zoo_leaderboard.label import deciding
from zoo_leaderboard.row import At
from zoo_leaderboard.sweep import rate
from zoo_leaderboard.track import Ranked, Track
from zoo_leaderboard.wording import tags


def row_part(track: Track, ranked: Ranked, points: int) -> dict[str, Any]:
    """One row, its curves of training in at most about ``points`` points."""
    row = ranked.row
    return {
        **figures(track, ranked),
        "outcome": "" if row.summary else row.outcome,
        "tags": tags(track, row),
        "values": {str(seed): value for seed, value in row.values.items()},
        "curve": [
            {"length": length, "mean": at.mean, "low": low, "high": high}
            for length, at in row.curve.items()
            for low, high in [at.interval or (None, None)]
        ],
        "losses": course(row.losses(points), "loss"),
        "validated": course(row.validated(points), "mean"),
        "lr": row.lr,
        "sweep": [one._asdict() for one in row.rates],
        "options": row.first.mixer.options,
        "config": deciding(row.first),
        "on_front": [key for key, rows in track.fronts.items() if row in rows],
        "runs": [
            {**run_part(record), "shown": shown}
            for records, shown in ((row.records, True), (row.rest, False))
            for record in records
        ],
    }


def figures(track: Track, ranked: Ranked) -> dict[str, Any]:
    """The flat part, the same in CSV and JSON."""
    rank, row = ranked
    summary, mixer = row.summary, row.first.mixer
    low, high = summary.interval if summary and summary.interval else (None, None)
    growth = track.growth.get(row)
    return {
        "rank": rank,
        "label": row.label,
        "mixer": mixer.name,
        "family": mixer.family,
        "kernel": mixer.kernel,
        "mean": summary.mean if summary else None,
        "low": low,
        "high": high,
        "sd": summary.sd if summary else None,
        "seeds_ok": len(row.ok),
        "seeds_planned": row.planned,
        "provisional": row.provisional,
        "above_chance": track.learned(row),
        **{column.key: track.cost(row, column) for column in COLUMNS},
        "time_exponent_low": growth.low if growth else None,
        "time_exponent_high": growth.high if growth else None,
    }


def course(steps: Sequence[At], name: str) -> list[dict[str, float]]:
    """One line a step, in five digits, which is more than a curve shows."""
    return [
        {"step": step, name: brief(mean), "low": brief(low), "high": brief(high)}
        for step, mean, low, high in steps
    ]


def brief(value: float) -> float:
    """The value in five digits."""
    return float(f"{value:.5g}")


def run_part(record: Record) -> dict[str, Any]:
    """Where one seed's figure comes from."""
    metric = record.metrics.get(record.headline)
    return {
        "run_id": record.run_id,
        "seed": record.seed,
        "lr": rate(record.config),
        "status": record.status,
        "failure": record.failure.model_dump() if record.failure else None,
        "value": metric.value if metric else None,
        "split": metric.split if metric else None,
        "items": metric.n if metric else None,
        "best_step": record.best_step,
        "config_sha256": record.config_sha256,
        "commit": record.env.commit,
        "dirty": record.env.dirty,
        "python": record.env.python,
        "torch": record.env.torch,
        "device": record.env.device,
        "precision": record.env.precision,
        "kernel": record.mixer.kernel,
        "deterministic": record.env.deterministic,
        "plugins": record.env.plugins,
        "data": {
            "name": record.data.name,
            "sha256": record.data.sha256,
            "source": record.data.source,
        },
        "started": record.started,
        "seconds": record.seconds,
        "steps": record.steps,
        "tokens": record.tokens,
        "resumed": record.resumed,
        "missing": record.missing,
    }
