"""Parts that act around every training step, and the one callback through which they do."""

from typing import Any

import lightning as L
import torch
from torch import Tensor


class Part:
    """Something that happens around every step; ``trainer.global_step`` counts the steps done."""

    def start(self, trainer: L.Trainer, device: torch.device) -> None:
        """Training begins, or goes on."""

    def before(self, trainer: L.Trainer) -> None:
        """A step is about to be taken."""

    def after(self, trainer: L.Trainer, loss: Tensor) -> None:
        """A step has been taken."""

    def end(self) -> None:
        """Training has ended."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What a checkpoint kept."""


class Conductor(L.Callback):
    """The one callback that Lightning sees: it calls each callback at a dozen moments of a step."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for part in self.parts:
            part.start(trainer, pl_module.device)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        for part in self.parts:
            part.before(trainer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        for part in self.parts:
            part.after(trainer, outputs["loss"])

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for part in self.parts:
            part.end()

    def state_dict(self) -> dict[str, Any]:
        return {type(part).__name__: part.state_dict() for part in self.parts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part in self.parts:  # a checkpoint of an older zoo may lack the newest of them
            if (state := state_dict.get(type(part).__name__)) is not None:
                part.load_state_dict(state)
