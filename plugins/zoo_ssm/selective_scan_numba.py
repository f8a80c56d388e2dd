"""The selective scan as one compiled pass on a CPU: nothing of size (b, l, d, n) is ever written.

A task is one row of the batch and one block of channels. Its states (n, lanes) stay in the nearest
cache while time passes, and the innermost loops run over channels, which vector units take. The
forward pass keeps the states before every span of steps; the backward pass recomputes a span from
them and runs the adjoint back through it (Gu and Dao 2023, section 3.3.2).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

import zoo
from zoo.ops.vector_math import LN2, LOG2E, exp2, sigmoid, softplus


@lru_cache
def kernels(lanes: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Forward and backward for blocks of so many channels: loops of known length are twice as fast.

    Slices of a step are taken before its loops: for u[row, t, at + k] numba tests in every turn
    whether the index counts from the end, and nothing is vectorised.
    """

    @zoo.ops.fused.jit
    def forward(u, raw, a, b, c, skip, z, bias, state, span, y, last, kept, start, stop):  # type: ignore[no-untyped-def]
        t_ = u.dtype.type
        zero, log2e = t_(0), t_(LOG2E)
        length, dim = u.shape[1], u.shape[2]
        n, blocks = len(a), (dim + lanes - 1) // lanes
        h, rate = np.zeros((n, lanes), u.dtype), np.zeros((n, lanes), u.dtype)
        step, drive, out = (
            np.zeros(lanes, u.dtype),
            np.zeros(lanes, u.dtype),
            np.zeros(lanes, u.dtype),
        )
        for task in range(start, stop):
            row, at = task // blocks, task % blocks * lanes
            w = min(lanes, dim - at)
            skip_, bias_ = skip[at : at + w], bias[at : at + w]
            if w < lanes:  # idle lanes hold zeros, not the last task's numbers
                h[:], rate[:], step[:], drive[:], out[:] = zero, zero, zero, zero, zero
            for j in range(n):
                for k in range(w):
                    rate[j, k] = a[j, at + k] * log2e
                    h[j, k] = state[row, j, at + k]
            for t in range(length):
                if t % span == 0:
                    kept[task, t // span] = h
                u_t, raw_t = u[row, t, at : at + w], raw[row, t, at : at + w]
                z_t, y_t = z[row, t, at : at + w], y[row, t, at : at + w]
                for k in range(w):
                    step[k] = softplus(raw_t[k] + bias_[k])
                    drive[k] = step[k] * u_t[k]
                    out[k] = u_t[k] * skip_[k]
                for j in range(n):
                    b_tj, c_tj = b[row, t, j], c[row, t, j]
                    for k in range(lanes):
                        new = h[j, k] * exp2(step[k] * rate[j, k]) + drive[k] * b_tj
                        h[j, k] = new
                        out[k] += new * c_tj
                for k in range(w):
                    y_t[k] = out[k] * z_t[k] * sigmoid(z_t[k])
            for j in range(n):
                for k in range(w):
                    last[row, j, at + k] = h[j, k]

    @zoo.ops.fused.jit
    def backward(  # type: ignore[no-untyped-def]
        u,
        raw,
        a,
        b,
        c,
        skip,
        z,
        bias,
        span,
        kept,
        dy,
        dlast,
        du,
        draw,
        da,
        db,
        dc,
        dskip,
        dz,
        dbias,
        dstate,
        start,
        stop,
    ):
        t_ = u.dtype.type
        zero, one, log2e, ln2 = t_(0), t_(1), t_(LOG2E), t_(LN2)
        length, dim = u.shape[1], u.shape[2]
        n, blocks = len(a), (dim + lanes - 1) // lanes
        # neighbours of one buffer at fixed distances: nothing to check for overlap at every entry
        of_state = np.zeros((n, 3 * lanes), u.dtype)  # rate | carried adjoint | slope, by number
        of_lane = np.zeros(3 * lanes, u.dtype)  # adjoints of out | step | drive
        past = np.zeros((span + 1, n, lanes), u.dtype)
        decay = np.zeros((span, n, lanes), u.dtype)
        kinds = np.zeros((span, 3 * lanes), u.dtype)  # step | drive | out
        sums = np.zeros(2 * lanes, u.dtype)  # adjoints of skip | bias
        for task in range(start, stop):
            row, block = task // blocks, task % blocks
            at = block * lanes
            w = min(lanes, dim - at)
            skip_, bias_ = skip[at : at + w], bias[at : at + w]
            sums[:] = zero
            if w < lanes:
                of_state[:], of_lane[:], kinds[:] = zero, zero, zero
            for j in range(n):
                for k in range(w):
                    of_state[j, k] = a[j, at + k] * log2e
                    of_state[j, lanes + k] = dlast[row, j, at + k]
                    of_state[j, 2 * lanes + k] = zero
            for first in range((length - 1) // span * span, -1, -span):
                m = min(span, length - first)
                past[0] = kept[task, first // span]
                for i in range(m):
                    t = first + i
                    u_t, raw_t = u[row, t, at : at + w], raw[row, t, at : at + w]
                    kind = kinds[i]
                    for k in range(w):
                        kind[k] = softplus(raw_t[k] + bias_[k])
                        kind[lanes + k] = kind[k] * u_t[k]
                        kind[2 * lanes + k] = u_t[k] * skip_[k]
                    for j in range(n):
                        b_tj, c_tj = b[row, t, j], c[row, t, j]
                        old, new, fall, s = past[i, j], past[i + 1, j], decay[i, j], of_state[j]
                        for k in range(lanes):
                            e = exp2(kind[k] * s[k])
                            h = old[k] * e + kind[lanes + k] * b_tj
                            fall[k] = e
                            new[k] = h
                            kind[2 * lanes + k] += h * c_tj
                for i in range(m - 1, -1, -1):
                    t = first + i
                    u_t, raw_t = u[row, t, at : at + w], raw[row, t, at : at + w]
                    z_t, dy_t = z[row, t, at : at + w], dy[row, t, at : at + w]
                    dz_t, du_t = dz[row, t, at : at + w], du[row, t, at : at + w]
                    draw_t = draw[row, t, at : at + w]
                    kind = kinds[i]
                    for k in range(w):
                        gate, g = z_t[k], dy_t[k]
                        sig = sigmoid(gate)
                        dz_t[k] = g * kind[2 * lanes + k] * sig * (one + gate * (one - sig))
                        of_lane[k] = g * gate * sig
                        of_lane[lanes + k] = zero
                        of_lane[2 * lanes + k] = zero
                        sums[k] += of_lane[k] * u_t[k]
                    for j in range(n):
                        b_tj, c_tj = b[row, t, j], c[row, t, j]
                        to_b, to_c = zero, zero
                        old, new, fall, s = past[i, j], past[i + 1, j], decay[i, j], of_state[j]
                        for k in range(lanes):
                            g = s[lanes + k] + of_lane[k] * c_tj
                            to_c += of_lane[k] * new[k]
                            to_b += g * kind[lanes + k]
                            of_lane[2 * lanes + k] += g * b_tj
                            g *= fall[k]
                            s[lanes + k] = g
                            g *= old[k]
                            of_lane[lanes + k] += g * s[k]
                            s[2 * lanes + k] += g * kind[k]
                        db[block, row, t, j] = to_b
                        dc[block, row, t, j] = to_c
                    for k in range(w):
                        to_drive = of_lane[2 * lanes + k]
                        du_t[k] = of_lane[k] * skip_[k] + to_drive * kind[k]
                        g = of_lane[lanes + k] * ln2 + to_drive * u_t[k]
                        g *= sigmoid(raw_t[k] + bias_[k])
                        draw_t[k] = g
                        sums[lanes + k] += g
            for k in range(w):
                dskip[row, at + k] = sums[k]
                dbias[row, at + k] = sums[lanes + k]
            for j in range(n):
                for k in range(w):
                    da[row, j, at + k] = of_state[j, 2 * lanes + k]
                    dstate[row, j, at + k] = of_state[j, lanes + k]

    return forward, backward


@zoo.ops.fused.jit
def update(u, raw, a, b, c, skip, z, bias, state, y, new, start, stop):  # type: ignore[no-untyped-def]
    """One token of some rows; u, raw, z, y (b, d), b and c (b, n), states (b, d, n), n in lanes."""
    t_ = u.dtype.type
    zero, log2e, dim = t_(0), t_(LOG2E), u.shape[1]
    step, drive, out = np.empty(dim, u.dtype), np.empty(dim, u.dtype), np.empty(dim, u.dtype)
    for row in range(start, stop):
        u_t, raw_t, z_t, y_t, b_t, c_t = u[row], raw[row], z[row], y[row], b[row], c[row]
        for k in range(dim):
            step[k] = softplus(raw_t[k] + bias[k])
            drive[k] = step[k] * u_t[k]
            step[k] *= log2e
        for k in range(dim):
            rate, push, total = step[k], drive[k], zero
            old, now, a_k = state[row, k], new[row, k], a[k]
            for j in range(len(c_t)):
                h = old[j] * exp2(rate * a_k[j]) + push * b_t[j]
                now[j] = h
                total += h * c_t[j]
            out[k] = total
        for k in range(dim):
            y_t[k] = (out[k] + skip[k] * u_t[k]) * z_t[k] * sigmoid(z_t[k])
