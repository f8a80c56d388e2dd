"""One run, whole: train, test, measure, record; whatever happens, a record says so."""

import errno
import os
import shutil
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from zoo import record as records
from zoo.build import layers
from zoo.checkpoint import clear, save
from zoo.environment import environment
from zoo.errors import DataError, DiskFull, Diverged, Killed, ZooError
from zoo.evaluate import Score, evaluate
from zoo.identity import digest
from zoo.keys import HOUSEKEEPING
from zoo.measure import efficiency, peak_memory
from zoo.model import Backbone
from zoo.names import Split
from zoo.plan import Plan, plan
from zoo.progress import Progress
from zoo.record import Data, Efficiency, Failure, Metric, MixerPart, Record, Status, TaskPart
from zoo.registry import load
from zoo.signals import Stop
from zoo.train import Trained, train
from zoo.verdict import OUT_OF_MEMORY, verdict

FINISHED: tuple[Status, ...] = ("ok", "diverged")
"""What the same command would only do again; the rest is tried anew."""


def run(*words: str) -> Record:
    """One run from `key=value` words, as `zoo run` does it; returns its record.

    Raises ZooError for words that cannot be run, or that are several runs.
    """
    from zoo.config import resolve

    registry = load()
    configs = resolve(registry, words, multirun=False)
    if len(configs) != 1:
        names = ", ".join(config["task"]["name"] for config in configs)
        raise ZooError(f"these are {len(configs)} runs ({names}); zoo.run takes one at a time")
    return execute(plan(registry, configs[0]), runs_folder())[0]


def runs_folder() -> Path:
    """$ZOO_RUNS, or `runs` here."""
    return Path(os.environ.get("ZOO_RUNS") or "runs")


def finished(plan: Plan, runs: Path, *, force: bool | None = None) -> Record | None:
    """The record of this very run if it need not be run again.

    Raises DataError when the record that is there cannot be read or is another run's.
    """
    path = runs / plan.name / "record.json"
    if (plan.config["force"] if force is None else force) or not path.exists():
        return None
    record = records.read(path)
    if (record.run_id, record.seed) != (plan.run_id, plan.config["seed"]):
        raise DataError(f"{path}: the record of run {record.run_id}; move it out of the way")
    return record if record.status in FINISHED else None


def execute(plan: Plan, runs: Path) -> tuple[Record, int]:
    """Do the run unless it is done; returns its record and the shell's exit code.

    Raises ZooError when another process is at this very run, DataError when its data is not here.
    """
    folder = runs / plan.name
    lacks = plan.task.missing()
    if lacks and not finished(plan, runs):
        raise DataError(lacks)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=0):
            done = finished(plan, runs)
            if done:
                return done, 0 if done.status == "ok" else Diverged.exit_code
            return _Run(plan, folder, had_result=finished(plan, runs, force=False) is not None).do()
    except Timeout:
        raise ZooError(f"{folder}: another process is at this run; wait for it") from None
    except OSError as error:
        raise ZooError(f"{folder}: {error.strerror}; point ZOO_RUNS to another folder") from error


class _Run:
    """The facts of one run, gathered phase by phase."""

    def __init__(self, plan: Plan, folder: Path, *, had_result: bool) -> None:
        self.plan, self.folder, self.had_result = plan, folder, had_result
        self.phase = "plan"
        self.facts: dict[str, Any] = {}
        self.trained = Trained()
        self.missing: dict[str, str] = {}
        self.kernel: str | None = None
        self.started, self.clock = datetime.now(UTC), time.monotonic()
        config = plan.config
        title = f"{config['task']['name']} {config['mixer']['name']} seed {config['seed']}"
        self.progress = Progress(title, plan.recipe.steps)

    def do(self) -> tuple[Record, int]:
        """Every phase in turn; an exception becomes the record's status."""
        status: Status = "ok"
        failure: Failure | None = None
        code = 0
        (self.folder / "traceback.txt").unlink(missing_ok=True)
        with Stop() as stop:
            try:
                self.work(stop)
            except BaseException as error:
                status, code = verdict(error, stop.signum)
                message = str(error).strip() or type(error).__name__
                if status == "killed" and not isinstance(error, Killed):
                    message = str(Killed(code - 128))
                if code == DiskFull.exit_code:
                    free = shutil.disk_usage(self.folder).free
                    message = f"{self.folder}: the disk is full; {free:,} bytes are free by now"
                failure = Failure(type=type(error).__name__, message=message, phase=self.phase)
                if code in (1, OUT_OF_MEMORY) and not isinstance(error, ZooError):
                    self.keep("traceback.txt", traceback.format_exc())
            finally:
                self.progress.stop()
            record = self.record(status, failure)
            if status in FINISHED or not self.had_result:  # what is finished is never lost
                self.keep("record.json", records.dump(record))
            if status in FINISHED:
                clear(self.folder / "checkpoints")
        return record, code

    def keep(self, name: str, text: str) -> None:
        """Write a file into the run's folder; raises DiskFull, and ZooError for what else fails."""
        try:
            records.atomic_write(self.folder / name, text.encode())
        except OSError as error:
            kind = DiskFull if error.errno == errno.ENOSPC else ZooError
            raise kind(f"{self.folder / name} cannot be written: {error}") from error

    def work(self, stop: Stop) -> None:
        """Data, train, test, measure."""
        plan, config = self.plan, self.plan.config
        self.phase = "data"
        plan.task.prepare()
        self.phase = "train"
        torch.manual_seed(config["seed"])
        with peak_memory(config["device"]) as peak:
            model = plan.build()
            train(plan, model, self.folder, stop, self.progress, self.trained)
        trained = self.trained
        if peak.reason:
            self.missing["efficiency.peak_memory_bytes"] = peak.reason
        if trained.tokens_per_s is None:
            self.missing["efficiency.train_tokens_per_s"] = "too few steps in this process to time"
        self.kernel = "+".join(dict.fromkeys(b.mixer.kernel_ran for b in model.layers))
        for old in self.folder.glob("weights.*.pt"):
            old.unlink()
        save({"model": model.state_dict(), "step": trained.best_step}, self.folder / "weights.pt")
        self.phase = "test"
        self.progress.say(f"testing the weights of step {trained.best_step}")
        self.test(model.to(config["device"]), stop)
        self.phase = "measure"
        cost, missing = efficiency(plan, model, lambda: stop.check(trained.steps))
        self.missing |= missing
        self.facts["efficiency"] = cost.model_copy(
            update={"train_tokens_per_s": trained.tokens_per_s, "peak_memory_bytes": peak.bytes}
        )

    def test(self, model: Backbone, stop: Stop) -> None:
        """Validation and test scores, and the curve over the task's grid of lengths."""
        plan = self.plan

        def score(split: Split, length: int | None = None) -> dict[str, Score]:
            return evaluate(
                model,
                plan.task,
                split,
                plan.recipe.batch_size,
                precision=plan.config["precision"],
                length=length,
                between=lambda: stop.check(plan.recipe.steps),
            )

        metrics = {name: self.metric(name, s, "test") for name, s in score("test").items()}
        for name, s in score("valid").items():
            metrics[f"valid_{name}"] = self.metric(f"valid_{name}", s, "valid")
        self.facts["metrics"] = metrics
        headline, grid = plan.task.headline, plan.task.grid
        curve = {n: self.metric(f"curve.{n}", score("test", n)[headline], "test") for n in grid}
        self.facts["curve"] = {n: m.value for n, m in curve.items() if m.value is not None}

    def metric(self, name: str, score: Score, split: str) -> Metric:
        """One score with what is needed to read it; null with a reason if it is no number."""
        task, value = self.plan.task, score.value
        if not isfinite(value) and name in ("loss", task.headline):
            raise Diverged(f"the {split} {name} is {value}")
        if not isfinite(value):
            self.missing[f"{'' if '.' in name else 'metrics.'}{name}"] = f"it came out as {value}"
        return Metric(
            value=value if isfinite(value) else None,
            split=split,
            higher_is_better=name.removeprefix("valid_") not in task.lower_is_better,
            chance=self.chance(name, split),
            n=score.n,
        )

    def chance(self, name: str, split: str) -> float | None:
        """What guessing scores, or a reason why that is not known."""
        base = name.removeprefix("valid_").partition(".")[0]
        if base not in self.plan.task.chance and "." not in name:
            self.missing[f"metrics.{name}.chance"] = "no score of guessing is known for it"
        return self.plan.task.chance.get(base)

    def prescribed(self, own: Mapping[str, Any]) -> list[str]:
        """Options of the mixer that stand as the protocol has them."""
        mixer = self.plan.registry.mixers[self.plan.config["mixer"]["name"]]
        words = self.plan.task.backbone(mixer)
        return sorted(
            k for k, v in own.items() if f"mixer.{k}" in words and words[f"mixer.{k}"] == v
        )

    def record(self, status: Status, failure: Failure | None) -> Record:
        """All that is known of the run by now."""
        plan, config, task = self.plan, self.plan.config, self.plan.task
        where, missing = environment(plan)
        families = {plan.registry.mixers[entry["name"]].family for entry in layers(config)}
        own = {key: value for key, value in config["mixer"].items() if key != "name"}
        identity = {key: value for key, value in config.items() if key not in HOUSEKEEPING}
        if failure:
            reason = f"the run ended in {failure.phase}"
            missing |= dict.fromkeys(("metrics", "efficiency", "mixer.kernel"), reason)
        if task.provenance()["sha256"] is None:
            missing["data.sha256"] = "the data is drawn from seeds; its rule is in the task's id"
        return Record(
            run_id=plan.run_id,
            status=status,
            failure=failure,
            task=TaskPart(
                name=task.title(config["task"]["name"]),
                id=task.id,
                protocol=task.protocol,
                budget=config["budget"],
                averages={name: list(tasks) for name, tasks in task.averages.items()},
                trained_to=task.trained_to,
            ),
            mixer=MixerPart(
                name=config["mixer"]["name"],
                options={"pattern": config["pattern"]} if config["pattern"] else own,
                prescribed=[] if config["pattern"] else self.prescribed(own),
                kernel=self.kernel,
                family=families.pop() if len(families) == 1 else "hybrid",
            ),
            config=config,
            config_sha256=digest(identity),
            seed=config["seed"],
            headline=task.headline,
            env=where,
            data=Data.model_validate(dict(task.provenance())),
            started=self.started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self.clock + self.trained.seconds_before, 3),
            steps=self.trained.steps,
            tokens=self.trained.tokens,
            losses=self.trained.losses,
            validated=self.trained.validated,
            best_step=self.trained.best_step,
            resumed=self.trained.resumed,
            missing={**self.missing, **missing},
            **{"efficiency": Efficiency(), **self.facts},
        )
