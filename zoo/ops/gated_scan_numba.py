"""The gated scan, compiled: a row of the batch at a time, the lanes of d in vector registers.

Each step reads its inputs once and writes its outputs once, so memory sets the pace; the state is
the row written just before, still in the first cache. The same code serves real and complex.
"""

from typing import Any

from zoo.ops import fused


@fused.jit
def forward(
    decay: Any, drive: Any, state: Any, h: Any, lanes: int, reverse: bool, first: int, last: int
) -> None:
    """Tasks are (row, block of lanes); decay is (1, 1, d) where it is the same at all times."""
    _, length, width = drive.shape
    blocks = (width + lanes - 1) // lanes
    gated = decay.shape[1] == length and decay.shape[0] == drive.shape[0]
    for task in range(first, last):
        i, j = task // blocks, task % blocks * lanes
        k = min(j + lanes, width)
        before = state[i, j:k]
        for step in range(length):
            t = length - 1 - step if reverse else step
            a = decay[i, t, j:k] if gated else decay[0, 0, j:k]
            x, y = drive[i, t, j:k], h[i, t, j:k]
            for c in range(k - j):
                y[c] = a[c] * before[c] + x[c]
            before = y


@fused.jit
def backward(
    decay: Any,
    h: Any,
    state: Any,
    dh: Any,
    dlast: Any,
    ddecay: Any,
    ddrive: Any,
    dstate: Any,
    lanes: int,
    reverse: bool,
    first: int,
    last: int,
) -> None:
    """g_t = dh_t + conj(decay_{t+1}) g_{t+1} from the end; ddecay is (b, 1, d) if not gated."""
    _, length, width = h.shape
    blocks = (width + lanes - 1) // lanes
    gated = decay.shape[1] == length and decay.shape[0] == h.shape[0]
    for task in range(first, last):
        i, j = task // blocks, task % blocks * lanes
        k = min(j + lanes, width)
        carry = dstate[i, j:k]  # dL/dh_t from all that comes later
        carry[:] = dlast[i, j:k]
        ddecay[i, 0, j:k] = 0  # where the sum over time starts
        for step in range(length):
            t = step if reverse else length - 1 - step
            start = step == length - 1
            a = decay[i, t, j:k] if gated else decay[0, 0, j:k]
            da = ddecay[i, t, j:k] if gated else ddecay[i, 0, j:k]
            before = state[i, j:k] if start else h[i, t + 1 if reverse else t - 1, j:k]
            y, g = dh[i, t, j:k], ddrive[i, t, j:k]
            if gated:
                for c in range(k - j):
                    g[c] = y[c] + carry[c]
                    da[c] = g[c] * before[c].conjugate()
                    carry[c] = g[c] * a[c].conjugate()
            else:
                for c in range(k - j):
                    g[c] = y[c] + carry[c]
                    da[c] += g[c] * before[c].conjugate()
                    carry[c] = g[c] * a[c].conjugate()
