"""Kernels: several ways to compute one operation, found when it runs, never at import."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import ZooError, nearest


def _always(*_: Any) -> str | None:
    return None


def _constant(missing: Callable[[], str | None]) -> Callable[[], str | None]:
    """The same to torch.compile as a constant: it cannot follow the import inside.

    As torch.compiler.assume_constant_result, which would import the whole compiler (a second).
    """

    def constant() -> str | None:
        return missing()

    constant._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return constant


@dataclass(frozen=True)
class Kernel:
    """One way to run an operation.

    ``missing()`` says why this machine cannot run it at all and what to install (cache it: it may
    import); ``refuses(x, *asked)`` says why it cannot take this device, dtype or shape, or what
    else the mixer asks of it (then it may be called without, by `zoo doctor`). Both return None for
    yes.
    """

    name: str
    run: Callable[..., Any]
    missing: Callable[[], str | None] = _always
    refuses: Callable[..., str | None] = _always

    def __post_init__(self) -> None:
        object.__setattr__(self, "missing", _constant(self.missing))

    def reason(self, x: Tensor, *asked: object) -> str | None:
        """Why this kernel cannot run on ``x`` here, or None."""
        return self.missing() or self.refuses(x, *asked)


def pick(kernels: Sequence[Kernel], wanted: str, x: Tensor, *asked: object) -> Kernel:
    """The first kernel (fastest first) that can run; or the one asked for by name.

    Raises ZooError when the named kernel is unknown or cannot run, with the reason.
    """
    if wanted == "auto":
        return next(kernel for kernel in kernels if kernel.reason(x, *asked) is None)
    by_name = {kernel.name: kernel for kernel in kernels}
    if wanted not in by_name:
        raise ZooError(f"mixer.kernel={wanted}: {nearest(wanted, ['auto', *by_name])}")
    reason = by_name[wanted].reason(x, *asked)
    if reason is not None:
        raise ZooError(f"mixer.kernel={wanted} cannot run here: {reason}; try mixer.kernel=auto")
    return by_name[wanted]
