"""Inputs to logits: embedding, blocks, norm, the task's head. The same trunk for every mixer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.block import Block
from zoo.flops import Flops
from zoo.head import Head
from zoo.mixer import Mixer, State
from zoo.position import EmbeddingPosition, Position
from zoo.task import Task

BlockFactory = Callable[[int, int, int], Block]
"""(dim, layer, depth) -> the block of one layer, its mixer and channel inside."""


class Backbone(nn.Module):
    """Embedding (or a linear map of real inputs), blocks, final norm, head.

    ``blocks`` makes each layer and knows of hybrids; ``position`` acts here only if its place is
    the embedding.
    """

    def __init__(
        self,
        task: Task,
        *,
        dim: int,
        depth: int,
        blocks: BlockFactory,
        position: Position | None = None,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.real, self.towers = task.real, task.towers
        self.embed = nn.Linear(task.inputs, dim) if task.real else nn.Embedding(task.inputs, dim)
        self.position = position if isinstance(position, EmbeddingPosition) else None
        self.blocks = nn.ModuleList(blocks(dim, layer, depth) for layer in range(depth))
        self.norm = nn.RMSNorm(dim)
        self.head: Head = task.head(dim)

    @property
    def layers(self) -> Sequence[Block]:
        """The blocks, typed."""
        return list(self.blocks)  # type: ignore[arg-type]

    def features(
        self, inputs: Tensor, lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Tokens (b, l) or reals (b, l, f) to normed features."""
        x = self.embed(inputs)
        if self.position is not None:
            x = self.position(x)
        for block in self.layers:
            x = block(x, lengths)
        normed: Tensor = self.norm(x)
        return normed

    def forward(self, inputs: Tensor, lengths: Int[Tensor, " b"] | None = None) -> Tensor:
        """Logits as the task's head gives them."""
        logits: Tensor = self.head(self.features(inputs, lengths), lengths)
        return logits

    def initial_state(self, batch: int) -> State:
        """The position of the next token, then one state per layer."""
        return 0, [block.mixer.initial_state(batch) for block in self.layers]

    def step(self, inputs: Tensor, state: State) -> tuple[Float[Tensor, "b d"], State]:
        """One token (b,) or real vector (b, f) to its normed features; the head is the caller's."""
        start, states = state
        x = self.embed(inputs)
        if self.position is not None:
            x = self.position(x[:, None], start)[:, 0]
        after = []
        for block, before in zip(self.layers, states, strict=True):
            x, new = block.step(x, before)
            after.append(new)
        return self.norm(x), (start + 1, after)

    def flops(self, batch: int, length: int) -> Flops:
        """Closed form of one forward pass; norms, residuals and embedding look-ups are left out."""
        first = 2 * batch * length * self.embed.weight.numel() if self.real else 0
        total = Flops(first) + self.head.flops(batch, length)
        for block in self.layers:
            total += block.flops(batch, length)
        return total

    def flops_per_token(self, length: int) -> float:
        """Of a forward pass over one example, both of its sequences if it is a pair."""
        return self.flops(self.towers, length).total / (self.towers * length)

    def state_size(self, length: int) -> int:
        """Numbers carried per sequence after ``length`` tokens, all layers together."""
        return sum(block.mixer.state_size(length) for block in self.layers)

    def parameter_groups(
        self, lr: float, weight_decay: float, decay: Literal["matrices", "all"] = "matrices"
    ) -> list[dict[str, object]]:
        """AdamW groups: no decay on vectors (norms, biases), embeddings nor positions unless on
        ``all``.

        What a mixer asks for by ``parameter_settings`` stands over the general rule; its
        ``lr_scale`` multiplies the learning rate.
        """
        matrices = decay == "matrices"
        own: dict[int, Mapping[str, float]] = {}
        for module in self.modules():
            if matrices and isinstance(module, nn.Embedding | Position):
                own |= {id(p): {"weight_decay": 0.0} for p in module.parameters()}
            if isinstance(module, Mixer):
                for name, setting in module.parameter_settings().items():
                    own[id(module.get_parameter(name))] = setting
        groups: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            decays = parameter.ndim > 1 or not matrices
            asked = dict(own.get(id(parameter), {}))
            scaled = lr * asked.pop("lr_scale", 1.0)
            setting = {"lr": scaled, "weight_decay": weight_decay if decays else 0.0, **asked}
            groups.setdefault(tuple(sorted(setting.items())), []).append(parameter)
        return [{"params": params, **dict(setting)} for setting, params in groups.items()]


def state_tensors(state: State) -> list[Tensor]:
    """Every tensor in a decoding state, whatever it is nested in."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(state) if isinstance(leaf, Tensor)]


def state_bytes(state: State) -> int:
    """Bytes of memory a state keeps alive: distinct storages, so a small view hides nothing."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in state_tensors(state)}
    return sum(storage.nbytes() for storage in storages.values())
