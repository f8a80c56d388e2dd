"""What a call costs without running it: operations and bytes, counted on the meta device.

There attention is not hidden in a CPU kernel that counts as nothing, and no memory is needed.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

MOVES = re.compile(
    "(_to_copy|_unsafe_view|alias|arange|bitwise_|bernoulli_|cat|clone|constant_pad|copy_|detach|"
    "embedding|empty|eq$|fill_|full|gather|ge$|gt$|index|le$|lift_fresh|logical_|lt$|masked_fill|"
    "native_dropout|ne$|new_|ones|pad|repeat|scalar_tensor|stack|tril|triu|where|zero)"
)
"""Operators that move, make or compare numbers, and so owe no FLOPs."""
FREE = re.compile("(_unsafe_view|_reshape_alias|alias|detach|empty|lift_fresh|new_empty|sym_|set_)")
"""Operators that only say where numbers are, beside the views."""
LOOKUPS = re.compile("(embedding$|gather|index$|index_select|take)")
"""Operators that read of their first tensor no more than they write."""


@dataclass(frozen=True)
class Counted:
    """``flops`` torch's counter knows, ``uncounted`` are the operators of which it does not.

    ``moved`` are the bytes that the operators read and wrote, each by itself: the traffic with no
    two of them fused and no cache.
    """

    flops: int
    uncounted: tuple[str, ...]
    moved: int


def count(call: Callable[[], object]) -> Counted:
    """Of one call, whose tensors had best be on meta."""
    with _Watch() as watch, FlopCounterMode(display=False) as counter:
        call()
    return Counted(counter.get_total_flops(), tuple(sorted(watch.names)), watch.moved)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator that is called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        name = packet.__name__
        if packet not in flop_registry and not func.is_view and not MOVES.match(name):
            self.names.add(name)
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not FREE.match(name):
            self.moved += traffic(name, (args, kwargs), result)
        return result


def traffic(name: str, inputs: Any, outputs: Any) -> int:
    """Bytes that one operator reads and writes.

    A fill reads nothing. One that writes into its input reads it too, but for a plain copy.
    """
    written = sum(map(held, tensors(outputs)))
    read = [held(tensor) for tensor in tensors(inputs)]
    if name in ("fill_", "zero_", "copy_"):
        read = read[1:]
    if read and LOOKUPS.match(name):
        read[0] = min(read[0], written)
    return written + sum(read)


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors in any nest of arguments."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def held(tensor: Tensor) -> int:
    """Bytes of distinct elements: one that is expanded is read once."""
    distinct = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        distinct *= size if stride else min(size, 1)
    return distinct * tensor.element_size()


@torch.no_grad()
def least(module: torch.nn.Module, inputs: Tensor) -> int:
    """Input, output and parameters once each, of a table of embeddings no more rows than there are
    tokens: the traffic that nothing can avoid.
    """
    whole = sum(map(held, (inputs, module(inputs), *module.parameters())))
    tables = (m.weight for m in module.modules() if isinstance(m, torch.nn.Embedding))
    return whole - sum(held(table[inputs.numel() :]) for table in tables)
