"""What a kernel from somebody's CUDA package needs of the machine and of its input."""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

import torch
from torch import Tensor


def package(what: str, *modules: str, install: str) -> Callable[[], str | None]:
    """A ``missing`` for ``zoo.Kernel``: why these modules do not all import, and what to install.

    Each that is needed is tried by itself: a package may import without its extension, or fail to
    import in many ways for want of something else.
    """

    @lru_cache(maxsize=1)
    def missing() -> str | None:
        try:
            for module in modules:
                import_module(module)
        except Exception as error:  # an ABI mismatch raises more than ImportError
            why = str(error).partition("\n")[0] or type(error).__name__
            return f"{what} does not import ({why}); {install}"
        return None

    return missing


def on_a_gpu(missing: Callable[[], str | None]) -> Callable[[], str | None]:
    """The same ``missing``, asked only where there is a GPU: else the import is paid for nothing.

    It may take seconds, and some packages complain on import.
    """

    @lru_cache(maxsize=1)
    def anywhere() -> str | None:
        return missing() if torch.cuda.is_available() else "this machine has no CUDA device"

    return anywhere


def only(name: str) -> Callable[[Tensor], str | None]:
    """A ``refuses`` for ``zoo.Kernel``: CUDA tensors of 32 bits or less."""

    def refuses(x: Tensor) -> str | None:
        if x.device.type != "cuda":
            return f"{name} needs a CUDA device, not {x.device.type}"
        if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            return f"{name} takes float32, float16 and bfloat16, not {x.dtype}"
        return None

    return refuses
