"""What is profiled, built from a cell's config: a mixer alone, or the model around it."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.build import Builder
from zoo.errors import ZooError
from zoo.evaluate import precision_context
from zoo.measure import example
from zoo.mixer import Mixer, State
from zoo.model import Backbone
from zoo.plan import plan
from zoo.registry import Registry
from zoo.task import Task


class Subject:
    """One module and the calls whose cost is asked for; what they return is nobody's business.

    ``longest`` is the longest length that will be asked for, to which positions that are learned
    must reach. Raises ZooError for what cannot be built.
    """

    def __init__(self, registry: Registry, config: Mapping[str, Any], longest: int) -> None:
        self.config, self.registry, self.longest = config, registry, longest
        self.device, self.precision = torch.device(config["device"]), config["precision"]
        torch.manual_seed(config["seed"])
        self.module = self.build(config).to(self.device).eval()
        self.state: State = None

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """The module, on torch's default device."""
        if config["task"] is not None:
            decided = plan(self.registry, config)
            # one more: decoding adds a token to the longest
            decided.task.max_length = max(decided.task.max_length, self.longest + 1)
            return decided.build()
        causal = config["direction"] == "causal"
        task = cast(Task, SimpleNamespace(max_length=self.longest))
        builder = Builder(self.registry, config, task, causal)
        return builder.mixer(config["mixer"], config["dim"], layer=0, depth=1)

    def on_meta(self) -> nn.Module:
        """The module without memory, with any kernel: the asked one may need its device, or take a
        step a token, and what is counted is the traffic without fusion.
        """
        with torch.device("meta"):
            mixer = self.config["mixer"]
            entry = {**mixer, "kernel": "auto"} if "kernel" in mixer else mixer
            return self.build({**self.config, "mixer": entry}).eval()

    @property
    def mixers(self) -> list[Mixer]:
        """The mixers inside."""
        if isinstance(self.module, Backbone):
            return [block.mixer for block in self.module.layers]
        return [cast(Mixer, self.module)]

    @property
    def kernel(self) -> str:
        """What ran in the last forward pass."""
        return "+".join(dict.fromkeys(mixer.kernel_ran for mixer in self.mixers))

    def inputs(self, batch: int, length: int, module: nn.Module | None = None) -> Tensor:
        """Random ones, for our own module unless another is named."""
        module = module or self.module
        device = next(module.parameters()).device
        if isinstance(module, Backbone):
            return example(module, (batch * module.towers, length)).to(device)
        return torch.randn(batch, length, self.config["dim"], device=device)

    def forward(self, inputs: Tensor) -> None:
        """Without gradients."""
        with torch.no_grad(), precision_context(self.device, self.precision):
            self.module(inputs)

    def train(self, inputs: Tensor) -> None:
        """Forward and backward, to the parameters and to real inputs, as within a stack; only here
        are dropout and the statistics of a batch at work.
        """
        self.module.zero_grad(set_to_none=True)
        self.module.train()
        if inputs.is_floating_point():
            inputs = inputs.detach().requires_grad_()
        with precision_context(self.device, self.precision):
            y = self.module(inputs)
        y.backward(torch.ones_like(y))
        self.module.eval()

    def prefill(self, inputs: Tensor) -> State:
        """All tokens at once to the state after them."""
        if self.config["direction"] != "causal":
            raise ZooError(f"a {self.config['direction']} mixer does not decode")
        with torch.no_grad(), precision_context(self.device, self.precision):
            if isinstance(self.module, Backbone):
                return prefill(self.module, inputs)
            return cast(Mixer, self.module).prefill(inputs)[1]

    def step(self, token: Tensor, state: State) -> None:
        """One more token after those in ``state``."""
        with torch.no_grad(), precision_context(self.device, self.precision):
            self.module.step(token, state)  # type: ignore[operator]


def prefill(model: Backbone, inputs: Tensor) -> State:
    """The state of ``model.step`` after these tokens, layer by layer rather than step by step."""
    x = model.embed(inputs)
    if model.position is not None:
        x = model.position(x)
    states = []
    for block in model.layers:

        def mix(z: Tensor, mixer: Mixer = block.mixer) -> Tensor:
            y, state = mixer.prefill(z)
            states.append(state)
            return y

        x = block.layer(x, mix)
    return inputs.shape[1], states
