"""The keys of one run: what may stand before the `=`, and what values it takes."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

Logger = Literal["csv", "tensorboard", "wandb", "mlflow", "comet", "neptune"]


@dataclass
class RunConfig:
    """Keys of one run, the groups first. None: the task's recipe decides, or the plan does."""

    task: Any = None
    mixer: Any = None
    position: Any = None
    channel: Any = None
    block: Any = None
    pattern: list[Any] = field(default_factory=list)
    """Mixers cycled over depth when mixer=hybrid, as [mamba,mamba,{attention:{heads:2}}]."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    budget: Literal["auto", "smoke", "cpu", "gpu", "paper"] = "auto"
    direction: Literal["auto", "causal", "bidirectional", "wrapped"] = "auto"
    """`wrapped` is bidirectional with two of each mixer that is causal only, one each way."""
    match: str | None = None
    """params:200k, flops:3M (per token) or state:4k: solve the width for this size; with atmost:
    before it, only if it is larger; none: do not. Where neither this nor dim is given the task's
    recipe may ask for one.
    """
    dim: Annotated[int, Field(gt=0, le=65_536)] | None = None
    depth: Annotated[int, Field(gt=0, le=4_096)] | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    lr: PositiveFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    warmup: Annotated[float, Field(ge=0, le=10)] | None = None
    schedule: Literal["cosine", "constant", "linear", "rsqrt"] | None = None
    beta2: Annotated[float, Field(gt=0, lt=1)] | None = None
    decay: Literal["matrices", "all"] | None = None
    clip: NonNegativeFloat | None = None
    evaluate_every: PositiveInt | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "32", "bf16"] = "auto"
    deterministic: bool = True
    workers: NonNegativeInt = 0
    """Processes that make training batches; the batches are the same for any number."""
    loggers: list[Logger] = field(default_factory=lambda: ["csv", "tensorboard"])
    log_every: PositiveInt = 10
    checkpoint_every: PositiveInt | None = None
    """Steps; None is once a minute."""
    force: bool = False
    """Run again what is finished."""


HOUSEKEEPING = ("workers", "loggers", "log_every", "checkpoint_every", "force")
"""Keys that cannot change a result, and so have no part in the run id."""
