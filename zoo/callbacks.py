"""What happens around a training step: keys, clock, checks, logs, validation, checkpoints."""

import time
from math import isfinite
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from zoo.conductor import Part
from zoo.errors import Diverged
from zoo.evaluate import evaluate
from zoo.model import Backbone
from zoo.plan import Plan
from zoo.progress import Progress
from zoo.signals import Stop

MINUTE = 60.0  # seconds between checkpoints, unless the user counts steps
READ_EVERY = 10  # steps between looks at a loss that lives on a GPU


class Rekey(Part):
    """Seeds torch anew before every step from (seed, step), so that dropout resumes exactly."""

    def __init__(self, seed: int) -> None:
        self.seed, self.cuda = seed, False

    def start(self, trainer: L.Trainer, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def before(self, trainer: L.Trainer) -> None:
        seed = (self.seed * 1_000_003 + trainer.global_step) & 0xFFFF_FFFF
        torch.default_generator.manual_seed(seed)  # torch.manual_seed costs 0.5 ms and grows a list
        if self.cuda:
            torch.cuda.manual_seed(seed)


class Meter(Part):
    """Counts tokens, and the seconds of training alone: pauses and the first steps are left out."""

    def __init__(self, start: int) -> None:
        self.warm_at = start + 2  # allocators and caches are cold in the first steps
        self._before = 0
        self.seconds_before = 0.0
        self._born = time.monotonic()
        self._counted = 0
        self._timed_tokens = 0
        self._seconds = 0.0
        self._since: float | None = None
        self._cuda = False

    @property
    def tokens(self) -> int:
        """Real (unpadded) tokens trained on, before a resume too."""
        return self._before + self._counted

    @property
    def rate(self) -> float | None:
        """Real tokens per second of training."""
        return self._timed_tokens / self._seconds if self._seconds else None

    def start(self, trainer: L.Trainer, device: torch.device) -> None:
        self._cuda = device.type == "cuda"

    def before(self, trainer: L.Trainer) -> None:
        if self._since is None and trainer.global_step >= self.warm_at:
            self._since = self._now()

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        tokens: Any = trainer.lightning_module.tokens
        if self._since is not None:
            self._timed_tokens += tokens - self._counted
        self._counted = tokens

    def pause(self) -> None:
        """Stop the clock until the next step starts."""
        if self._since is not None:
            self._seconds += self._now() - self._since
            self._since = None

    def end(self) -> None:
        self.pause()

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        spent = self.seconds_before + time.monotonic() - self._born
        return {"tokens": self.tokens, "seconds": spent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before, self.seconds_before = state["tokens"], state["seconds"]


class Finite(Part):
    """Raises Diverged once the loss is no number; shows it to the progress line otherwise."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps = progress, steps

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        step = trainer.global_step
        if loss.device.type == "cuda" and step % READ_EVERY and step < self.steps:
            return  # reading waits for the GPU; a NaN stays, since the weights have it by now
        value = float(loss)
        if not isfinite(value):
            raise Diverged(f"the loss is {value} at step {step}")
        self.progress.step(step, value)


class Logs(Part):
    """Loss and learning rate to every logger, every few steps."""

    def __init__(self, every: int) -> None:
        self.every = every

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        if trainer.global_step % self.every == 0:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            log(trainer, {"train/loss": float(loss), "lr": rate})


def log(trainer: L.Trainer, values: dict[str, float]) -> None:
    """To all loggers at the present step."""
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.global_step)


class Course(Part):
    """The training loss at about a hundred steps, each the mean since the one before."""

    POINTS = 100

    def __init__(self, steps: int) -> None:
        self.every, self.steps = max(1, round(steps / self.POINTS)), steps
        self.losses: dict[int, float] = {}
        self._sum: Tensor | float = 0.0
        self._count = 0

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        self._sum = self._sum + loss.detach().double()  # stays on the device: no waiting
        self._count += 1
        step = trainer.global_step
        if step % self.every == 0 or step == self.steps:
            value = float(self._sum) / self._count
            if isfinite(value):
                self.losses[step] = value
            self._sum, self._count = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"losses": dict(self.losses), "sum": float(self._sum), "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = dict(state["losses"])
        self._sum, self._count = state["sum"], state["count"]


class Validation(Part):
    """Scores the validation split every few steps and keeps the weights of the best step."""

    def __init__(self, plan: Plan, model: Backbone, progress: Progress, meter: Meter) -> None:
        self.plan, self.model, self.progress, self.meter = plan, model, progress, meter
        self.best: float | None = None
        self.best_step: int | None = None
        self.weights: dict[str, Tensor] = {}
        self.values: dict[int, float] = {}

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        step, recipe, task = trainer.global_step, self.plan.recipe, self.plan.task
        if step % recipe.evaluate_every and step != recipe.steps:
            return
        self.meter.pause()
        scores = evaluate(
            self.model,
            task,
            "valid",
            recipe.batch_size,
            precision=self.plan.config["precision"],
        )
        log(trainer, {f"valid/{name}": score.value for name, score in scores.items()})
        value = scores[task.headline].value
        if not (isfinite(value) and isfinite(scores["loss"].value)):
            raise Diverged(f"the validation loss is no number at step {step}")
        self.values[step] = value
        sign = -1 if task.headline in task.lower_is_better else 1
        better = self.best is None or sign * value > sign * self.best
        if better:
            self.best, self.best_step = value, step
            state = self.model.state_dict()
            self.weights = {name: value.detach().cpu().clone() for name, value in state.items()}
        self.progress.validated(step, task.headline, value, best=better)

    def restore_best(self) -> int | None:
        """Put the best weights into the model; returns their step."""
        if self.weights:
            self.model.load_state_dict(self.weights)
        return self.best_step

    def state_dict(self) -> dict[str, Any]:
        best = {"best": self.best, "best_step": self.best_step, "weights": self.weights}
        return {**best, "values": dict(self.values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_step = state["best"], state["best_step"]
        self.weights = state["weights"]
        self.values = dict(state.get("values", {}))  # kept since schema 2 of the record


class Checkpoints(Part):
    """Writes a checkpoint every minute (or every n steps), at the end, and when a signal came."""

    def __init__(
        self, folder: Path, steps: int, every: int | None, stop: Stop, meter: Meter
    ) -> None:
        self.folder, self.steps, self.every = folder, steps, every
        self.stop, self.meter = stop, meter
        self.resumed: list[int] = []
        self._last = time.monotonic()

    def start(self, trainer: L.Trainer, device: torch.device) -> None:
        self.stop.arm()
        if trainer.global_step:
            self.resumed.append(trainer.global_step)

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        step, now = trainer.global_step, time.monotonic()
        due = step % self.every == 0 if self.every else now - self._last > MINUTE
        if due or self.stop.signum is not None or step == self.steps:
            self.meter.pause()
            trainer.save_checkpoint(self.folder / f"step-{step}.ckpt")
            self._last = time.monotonic()
        self.stop.check(step)

    def state_dict(self) -> dict[str, Any]:
        return {"resumed": list(self.resumed)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.resumed = list(state["resumed"])
