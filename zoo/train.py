"""Training: the one LightningModule, batches by step number, a run that can stop anywhere."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import cos, pi, sqrt
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from zoo.callbacks import Checkpoints, Course, Finite, Logs, Meter, Rekey, Validation
from zoo.checkpoint import AtomicCheckpointIO, newest_good, step_of
from zoo.conductor import Conductor
from zoo.errors import ZooError, nearest
from zoo.model import Backbone
from zoo.plan import Plan
from zoo.progress import Progress
from zoo.signals import Stop
from zoo.task import Batch, Recipe, Schedule, Task

LOGGERS = {
    "csv": "CSVLogger",
    "tensorboard": "TensorBoardLogger",
    "wandb": "WandbLogger",
    "mlflow": "MLFlowLogger",
    "comet": "CometLogger",
    "neptune": "NeptuneLogger",
}


class Trainee(L.LightningModule):
    """The only LightningModule: it knows no mixer and no task by name."""

    def __init__(self, model: Backbone, task: Task, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.task, self.recipe = model, task, recipe
        self.tokens = 0

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Count real tokens while the batch is on the host, where that waits for nobody."""
        self.tokens += batch.real_positions
        return batch

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one batch."""
        logits = self.model(batch.inputs, batch.lengths)
        return self.task.score(logits, batch)["loss"].mean

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By norm. Lightning's own refuses a fused optimizer under bf16, which scales nothing."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, then the recipe's schedule."""
        recipe = self.recipe
        groups = self.model.parameter_groups(recipe.lr, recipe.weight_decay, recipe.decay)
        optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, recipe.beta2), fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: rate(recipe, k))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def rate(recipe: Recipe, step: int) -> float:
    """Share of the peak learning rate at a step (from 0)."""
    warmup = recipe.warmup * recipe.steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, recipe.steps - warmup)
    falls: Mapping[Schedule, Callable[[], float]] = {
        "constant": lambda: 1.0,
        "linear": lambda: 1 - done,
        "cosine": lambda: 0.5 * (1 + cos(pi * done)),
        "rsqrt": lambda: sqrt((warmup + 1) / (step + 1)),
    }
    return falls[recipe.schedule]()


@dataclass
class Steps(Dataset[Batch]):
    """Batch number k is a pure function of the seed and k: nothing to save, nothing to replay."""

    task: Task
    seed: int
    steps: int
    batch_size: int

    def __getitem__(self, step: int) -> Batch:
        return self.task.train_batch(self.seed, step, self.batch_size)

    def __len__(self) -> int:
        return self.steps


@dataclass
class From(Sampler[int]):
    """Step numbers from ``start`` on. Its length stays that of the whole run: a shorter one makes
    Lightning end the epoch early.
    """

    start: int
    steps: int

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.steps))

    def __len__(self) -> int:
        return self.steps


@dataclass
class Trained:
    """What training leaves for the record, however it ends."""

    steps: int = 0
    tokens: int = 0
    tokens_per_s: float | None = None
    best_step: int | None = None
    losses: dict[int, float] = field(default_factory=dict)
    validated: dict[int, float] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)
    seconds_before: float = 0.0
    """What earlier processes spent on this run, up to the checkpoint it went on from."""


def train(
    plan: Plan, model: Backbone, folder: Path, stop: Stop, progress: Progress, trained: Trained
) -> None:
    """Train from the last checkpoint in ``folder`` or the start; the best weights end in ``model``.

    Raises Diverged when the loss is no number, Killed when a signal came (the checkpoint is
    written), DataError when every checkpoint is damaged.
    """
    config, recipe = plan.config, plan.recipe
    checkpoint, complaints = newest_good(folder / "checkpoints")
    start = step_of(checkpoint) if checkpoint else 0
    for complaint in complaints:
        progress.say(f"{complaint}; the checkpoint before it is used")
    progress.start(start)
    steps = Steps(plan.task, config["seed"], recipe.steps, recipe.batch_size)
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=From(start, recipe.steps),
        num_workers=config["workers"],
        pin_memory=config["device"] == "cuda",
        collate_fn=None,
    )
    meter = Meter(start)
    validation = Validation(plan, model, progress, meter)
    course = Course(recipe.steps)
    saver = Checkpoints(
        folder / "checkpoints", recipe.steps, config["checkpoint_every"], stop, meter
    )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # it announces and advertises
    trainer = L.Trainer(
        accelerator="gpu" if config["device"] == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if config["precision"] == "bf16" else "32-true",
        max_steps=recipe.steps,
        max_epochs=1,
        gradient_clip_val=recipe.clip or None,
        logger=loggers(config["loggers"], folder, plan),
        callbacks=[
            Conductor(
                Rekey(config["seed"]),
                meter,
                Finite(progress, recipe.steps),
                course,
                Logs(config["log_every"]),
                validation,
                saver,
            )
        ],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        deterministic=config["deterministic"] and config["device"] == "cuda",
        log_every_n_steps=config["log_every"],
    )
    trainee = Trainee(model, plan.task, recipe)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # about itself, not about this run
        path = str(checkpoint) if checkpoint else None
        try:
            trainer.fit(trainee, loader, ckpt_path=path, weights_only=True)
            trained.best_step = validation.restore_best()
        finally:
            trained.steps, trained.tokens = trainer.global_step, meter.tokens
            trained.tokens_per_s, trained.seconds_before = meter.rate, meter.seconds_before
            trained.losses, trained.validated = course.losses, validation.values
            trained.resumed = saver.resumed
            if checkpoint and start not in trained.resumed:  # it had only the test left to do
                trained.resumed = [*trained.resumed, start]


def loggers(names: list[str], folder: Path, plan: Plan) -> list[Logger]:
    """Lightning loggers by short name, one folder per attempt; raises ZooError."""
    attempt = len(list((folder / "logs").glob("attempt-*")))
    made = []
    for name in names:
        if name not in LOGGERS:
            raise ZooError(f"loggers=[{name}]: {nearest(name, LOGGERS)}")
        cls = getattr(L.pytorch.loggers, LOGGERS[name])
        try:
            if name in ("csv", "tensorboard"):
                made.append(cls(save_dir=folder, name="logs", version=f"attempt-{attempt}"))
            else:
                made.append(cls(name=plan.name, save_dir=str(folder)))
        except ModuleNotFoundError as error:
            raise ZooError(f"loggers=[{name}]: {error}") from error
    return made
