"""The linear recurrence with a gate on each channel, h_t = a_t h_{t-1} + x_t, and its kernels.

Under most recurrent mixers: data-dependent gates (RG-LRU, minGRU, HGRN) and diagonal linear
systems, real or complex (LRU, S5, the recurrences of S4D).
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Inexact
from torch import Tensor

from zoo.errors import ZooError
from zoo.kernel import Kernel, pick
from zoo.ops import fused
from zoo.ops.gated_scan_chunked import chunked
from zoo.ops.gated_scan_compiled import gated_scan as compiled

Scan = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor]]


def gated_scan(
    decay: Inexact[Tensor, "b l d"] | Inexact[Tensor, " d"],
    drive: Inexact[Tensor, "b l d"],
    state: Inexact[Tensor, "b d"] | None = None,
    *,
    reverse: bool = False,
    kernel: str = "auto",
) -> tuple[Inexact[Tensor, "b l d"], Inexact[Tensor, "b d"]]:
    """h_t = decay_t h_{t-1} + drive_t from h_{-1} = ``state``, else nothing; and the last h.

    ``decay`` is one for each token, or one for all. ``reverse``: from the last token to the first,
    h_t = decay_t h_{t+1} + drive_t; the last h is then h_0. Real or complex. Differentiable in all
    tensors, once. Computed and carried in float32 at least; h has the dtype of ``drive`` (complex
    where ``decay`` is). Mixers that take ``zoo.ops.GATED_SCANS`` for their kernels call
    ``self.pick(x).run(decay, drive, state, reverse)``, which is the same. Raises ZooError for
    shapes that do not fit.
    """
    h, last = pick(GATED_SCANS, kernel, drive).run(decay, drive, state, reverse)
    return h, last


def widened(
    scan: Scan,
    decay: Inexact[Tensor, "b l d"] | Inexact[Tensor, " d"],
    drive: Inexact[Tensor, "b l d"],
    state: Inexact[Tensor, "b d"] | None = None,
    reverse: bool = False,
) -> tuple[Inexact[Tensor, "b l d"], Inexact[Tensor, "b d"]]:
    """``gated_scan`` by a given kernel: its operands in one dtype, of at least single precision."""
    wide = torch.promote_types(torch.promote_types(decay.dtype, drive.dtype), torch.float32)
    narrow = drive.dtype if drive.is_complex() == wide.is_complex else wide
    require_shapes(decay, drive, state)
    if state is None:
        state = drive.new_zeros(drive.shape[0], drive.shape[2], dtype=wide)
    if not drive.shape[1]:
        return drive.to(narrow), state.to(wide, copy=True)
    h, last = scan(decay.to(wide), drive.to(wide), state.to(wide), reverse)
    return h.to(narrow), last


def require_shapes(decay: Tensor, drive: Tensor, state: Tensor | None) -> None:
    """A compiled kernel would read beyond the end of what is too short."""
    shape = drive.shape
    fits = len(shape) == 3 and decay.shape in (shape, shape[2:])
    if not fits or (state is not None and state.shape != (shape[0], shape[2])):
        found = [tuple(x.shape) for x in (decay, drive, state) if x is not None]
        raise ZooError(
            "a gated scan wants decay (b, l, d) or (d,), drive (b, l, d) and state (b, d), "
            f"not {', '.join(map(str, found))}; expand() what is the same for all"
        )


def reference(decay: Tensor, drive: Tensor, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """One token at a time, plain differentiable torch."""
    outputs = []
    order = range(drive.shape[1])
    for t in reversed(order) if reverse else order:
        state = (decay[:, t] if decay.ndim == 3 else decay) * state + drive[:, t]
        outputs.append(state)
    return torch.stack(outputs[::-1] if reverse else outputs, dim=1), state


GATED_SCANS = (
    Kernel("numba", partial(widened, compiled), fused.missing, fused.refuses),
    Kernel("chunked", partial(widened, chunked), refuses=fused.no_tangents),
    Kernel("reference", partial(widened, reference)),
)
