"""`zoo list mixers` and `zoo list positions`: what each is, and which kernels run here."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.kernel import Kernel
from zoo.mixer import Mixer
from zoo.ops import ATTENTIONS, AttentionBias
from zoo.options import given
from zoo.position import ContextPosition, Place, Position, ScorePosition
from zoo.registry import Registry, Shelf

Row = dict[str, Any]
EXTRA: Mapping[Place, str] = {
    "none": "none",
    "embedding": "O(l)",
    "query_key": "O(l)",
    "score": "O(1) a score",
    "context": "O(1) a score",
}
"""What a position adds to the cost of the mixer, by the place where it acts."""


def detail(registry: Registry, kind: str) -> list[Row]:
    """A row of every mixer or position; one that does not load says why in ``problem``."""
    mixers = kind == "mixers"
    shelf: Shelf[Any] = registry.mixers if mixers else registry.positions
    describe: Callable[[Any], Row] = mixer if mixers else position
    rows = []
    for name, offer in sorted(shelf.offers.items()):
        row: Row = {"kind": shelf.kind, "name": name, "plugin": offer.plugin}
        try:
            rows.append(row | describe(shelf[name]))
        except ZooError as error:
            rows.append(row | {"problem": str(error)})
    return rows


def mixer(cls: type[Mixer]) -> Row:
    """A mixer's traits."""
    return {
        "family": cls.family,
        "paper": cls.paper,
        "directions": sorted(cls.directions, reverse=True),
        "complexity": f"O({cls.complexity})" if cls.complexity else None,
        "kernels": here(cls.kernels, torch.zeros(1, 16, 64, device=device())) or ["torch"],
        "positions": sorted(cls.positions),
    }


def position(cls: type[Position]) -> Row:
    """A position's traits; its kernels are those of attention that can take it here."""
    built: Any = cls
    acts = built(64, 4, **given(cls, max_length=64, causal=True))
    scored = isinstance(acts, ScorePosition | ContextPosition)
    probe = torch.zeros(1, 4, 16, 16, device=device())
    bias = AttentionBias(causal=True, position=acts if scored else None)
    return {
        "family": f"on {cls.place}" if cls.place != "none" else "none",
        "paper": cls.paper,
        "directions": sorted(cls.directions, reverse=True),
        "complexity": EXTRA[cls.place],
        "kernels": here(ATTENTIONS, probe, bias),
    }


def here(kernels: tuple[Kernel, ...], x: Tensor, *asked: object) -> list[str]:
    """Those that this machine can run, fastest first."""
    runs = (kernel.name for kernel in kernels if kernel.reason(x, *asked) is None)
    return list(dict.fromkeys(runs))  # one may have two places in the order


def device() -> str:
    """The one that a run takes by itself."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def table(rows: list[Row]) -> str:
    """Aligned columns, each as wide as it must be."""
    header = ["name", "family", "cost", "directions", "kernels here", "paper", "plugin"]
    lines = [header]
    for row in rows:
        if "problem" in row:
            lines.append([row["name"], f"does not load: {row['problem']}"])
            continue
        both = "both" if len(row["directions"]) == 2 else row["directions"][0]
        cost = row["complexity"] or "-"
        kernels = " ".join(row["kernels"])
        lines.append([row["name"], row["family"], cost, both, kernels, row["paper"], row["plugin"]])
    whole = [line for line in lines if len(line) == len(header)]
    widths = [max(len(line[i]) for line in whole) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    )
