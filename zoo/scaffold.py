"""`zoo new mixer NAME`: a package of one module, with a test that passes at once."""

from collections.abc import Container
from keyword import iskeyword
from pathlib import Path

from zoo.errors import ZooError
from zoo.names import RESERVED_NAMES, slug

PYPROJECT = """\
[project]
name = "zoo-{dist}"
version = "0.1.0"
dependencies = ["mixer-zoo"]

[project.entry-points."zoo.plugins"]
{name} = "zoo_{name}"
"""

MODULE = '''\
"""A mixer of our own: each channel looks at its last few values."""

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

import zoo


class {cls}(zoo.Mixer):
    """y_t = out(sum_k w_k x_(t-k)): a causal depthwise convolution, then a linear map."""

    family = "convolution"

    def __init__(self, dim: int, *, width: PositiveInt = 4) -> None:
        super().__init__()
        self.dim, self.width = dim, width
        self.conv = nn.Conv1d(dim, dim, width, groups=dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """All positions at once; (b, l, d) to (b, l, d). Causal, so the padding needs no care."""
        padded = F.pad(x.transpose(1, 2), (self.width - 1, 0))  # (b, d, width - 1 + l)
        mixed: Tensor = self.out(self.conv(padded).transpose(1, 2))
        return mixed

    def initial_state(self, batch: int) -> zoo.State:
        """The inputs before the first one: zeros (b, d, width - 1)."""
        return self.out.weight.new_zeros(batch, self.dim, self.width - 1)

    def step(self, x: Tensor, state: zoo.State) -> tuple[Tensor, zoo.State]:
        """One token (b, d); the same function as forward."""
        window = torch.cat([state, x[..., None]], dim=2)  # (b, d, width)
        y: Tensor = self.out((window * self.conv.weight[:, 0]).sum(2) + self.conv.bias)
        return y, window[..., 1:].clone()  # a view would keep the whole window alive

    def flops(self, batch: int, length: int) -> zoo.Flops:
        """A multiply-add is two: the convolution, then the linear map."""
        return zoo.Flops(2 * batch * length * self.dim * (self.width + self.dim))

    def state_size(self, length: int) -> int:
        """The window, whatever the length."""
        return self.dim * (self.width - 1)


@zoo.hookimpl
def zoo_mixers() -> dict[str, type[zoo.Mixer]]:
    """What this package puts on the shelf."""
    return {{"{name}": {cls}}}
'''

TEST = '''\
"""Does the mixer keep every promise? One test a promise."""

from collections.abc import Callable

from zoo_{name} import {cls}

from zoo.testing import conformance


@conformance({cls})
def test_{name}(check: Callable[[], None]) -> None:
    check()
'''


def write(name: str, taken: Container[str] = (), parent: Path | None = None) -> Path:
    """Write the package into a new folder ``name``, returned; raises ZooError if it exists."""
    slug(name, "name")
    name = name.replace("-", "_")
    cls = "".join(part.capitalize() for part in name.split("_"))
    if not cls.isidentifier() or iskeyword(cls):
        raise ZooError(f"name={name!r} must make a Python name too, as my_mixer")
    if name in taken or name in RESERVED_NAMES:
        raise ZooError(f"there is a {name!r} already; choose another name")
    folder = (parent or Path()) / name
    if folder.exists():
        raise ZooError(f"{folder} exists already; choose another name or delete it")
    words = {"name": name, "cls": cls, "dist": name.replace("_", "-")}
    files = {
        "pyproject.toml": PYPROJECT,
        f"zoo_{name}.py": MODULE,
        f"tests/test_{name}.py": TEST,
    }
    try:
        for path, template in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(template.format(**words))
    except OSError as error:
        raise ZooError(f"{folder} cannot be written: {error.strerror}") from error
    return folder
