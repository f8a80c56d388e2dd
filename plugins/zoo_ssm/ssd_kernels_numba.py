"""Compiled loops for state space duality: a state in the nearest cache, vectors written out.

The recurrence is its own dual: the gradient of every operand is such a recurrence again, forward
or backward in time. So one step, ``advance``, serves all four passes. It is bound by arithmetic:
three operations of a vector unit for each number of the state, where products of matrices in
chunks need two and much else besides.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

import zoo

WIDEST = 64
"""Lanes of a state: enough sums side by side that none waits for its last multiply-add."""
LINE = 64  # bytes: a vector that crosses a line of the cache costs double


def lanes(width: int) -> int:
    """How many lanes to cut ``width`` into: a power of two, no wider than needed."""
    return next(n for n in (16, 32, WIDEST) if n >= min(width, WIDEST))


@lru_cache
def stepper(lanes: int) -> Any:
    """``advance`` for states (n, lanes)."""

    # LLVM cannot know that these arrays do not overlap and would check at every row; so the vector
    # code is spelt out. Three times faster than the same loop in Python.
    @intrinsic
    def advance(typing: Any, state: Any, decay: Any, put: Any, x: Any, take: Any, y: Any) -> Any:
        """state_j = decay state_j + put_j x, and y = sum_j take_j state_j, over the n rows j."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_value_type(state.dtype)
            size = context.get_abi_sizeof(number)
            vector = ir.VectorType(number, lanes)
            nothing = ir.Constant(vector, ir.Undefined)
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            fused = {"flags": ("contract",)}

            def array(at: int) -> Any:
                return context.make_array(signature.args[at])(context, builder, arguments[at])

            def vector_at(pointer: Any) -> Any:
                return builder.bitcast(pointer, vector.as_pointer())

            def splat(value: Any) -> Any:
                first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
                return builder.shuffle_vector(first, nothing, everywhere)

            def number_of(row: Any, j: Any) -> Any:
                return splat(builder.load(builder.gep(row.data, [j])))

            states, puts, takes = array(0), array(2), array(4)
            rows = builder.extract_value(states.shape, 0)
            kept = splat(arguments[1])
            drive = builder.load(vector_at(array(3).data), align=size)
            side_by_side = WIDEST // lanes
            sums = [cgutils.alloca_once(builder, vector) for _ in range(side_by_side)]  # type: ignore[no-untyped-call]
            for each in sums:
                builder.store(ir.Constant(vector, [0.0] * lanes), each)

            def row(j: Any, total: Any) -> None:
                at = builder.mul(j, ir.Constant(j.type, lanes))
                place = vector_at(builder.gep(states.data, [at]))
                old = builder.fmul(kept, builder.load(place, align=size), **fused)
                new = builder.fadd(old, builder.fmul(number_of(puts, j), drive, **fused), **fused)
                builder.store(new, place, align=size)
                taken = builder.fmul(number_of(takes, j), new, **fused)
                builder.store(builder.fadd(builder.load(total), taken, **fused), total)

            one, step = ir.Constant(rows.type, 1), ir.Constant(rows.type, side_by_side)
            zero = ir.Constant(rows.type, 0)
            whole = builder.sub(rows, builder.srem(rows, step))
            with cgutils.for_range_slice(builder, zero, whole, step, inc=True) as (j, _):
                for more, total in enumerate(sums):
                    row(builder.add(j, ir.Constant(j.type, more)), total)
            with cgutils.for_range_slice(builder, whole, rows, one, inc=True) as (j, _):
                row(j, sums[0])
            result = builder.load(sums[0])
            for each in sums[1:]:
                result = builder.fadd(result, builder.load(each), **fused)
            builder.store(result, vector_at(array(5).data), align=size)
            return context.get_dummy_value()

        return types.void(state, decay, put, x, take, y), code

    return advance


@zoo.ops.fused.jit
def workspace(rows: int, lanes: int, like: Any) -> Any:
    """Zeros (rows, lanes) that start where a line of the cache does."""
    room = np.zeros(rows * lanes + LINE // like.itemsize, like.dtype)
    start = -room.ctypes.data % LINE // like.itemsize
    return room[start : start + rows * lanes].reshape(rows, lanes)


@lru_cache
def forward(lanes: int) -> Callable[..., None]:
    """y (b l h p), the last state and those before every ``span`` tokens; lanes along p."""
    advance = stepper(lanes)

    @zoo.ops.fused.jit
    def run(x, scale, decay, b, c, skip, state, span, y, last, kept, first, stop):  # type: ignore[no-untyped-def]
        _, length, heads, width = x.shape
        n, blocks, each = b.shape[3], (width + lanes - 1) // lanes, heads // b.shape[2]
        s, buffers = workspace(n, lanes, x), workspace(2, lanes, x)
        drive, out = buffers[0], buffers[1]
        for task in range(first, stop):
            i, h = task // (heads * blocks), task // blocks % heads
            at = task % blocks * lanes
            w, group, skip_h = min(lanes, width - at), h // each, skip[h]
            drive[:] = 0
            s[:] = 0
            for j in range(n):
                s[j, :w] = state[i, h, j, at : at + w]
            for t in range(length):
                if t % span == 0:
                    for j in range(n):
                        kept[i, t // span, h, j, at : at + w] = s[j, :w]
                x_t, y_t, scale_t = x[i, t, h, at : at + w], y[i, t, h, at : at + w], scale[i, t, h]
                for k in range(w):
                    drive[k] = scale_t * x_t[k]
                advance(s, decay[i, t, h], b[i, t, group], drive, c[i, t, group], out)
                for k in range(w):
                    y_t[k] = out[k] + skip_h * x_t[k]
            for j in range(n):
                last[i, h, j, at : at + w] = s[j, :w]

    return run


@lru_cache
def backward(lanes: int) -> Callable[..., None]:
    """What the loss gives to x, scale, skip and the first state; lanes along p.

    G_t = C_t dy_t + decay_{t+1} G_{t+1}, and B_t G_t is the gradient of scale_t x_t. ``slope`` is
    the gradient of the logarithm of the decay at the tokens whose state before them was kept:
    decay_t <G_t, S_{t-1}>.
    """
    advance = stepper(lanes)

    @zoo.ops.fused.jit
    def run(x, scale, decay, b, c, skip, span, kept, dy, dlast, dx, dscale, dskip, slope, dstate, first, stop):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
        _, length, heads, width = x.shape
        n, blocks, each = b.shape[3], (width + lanes - 1) // lanes, heads // b.shape[2]
        g, buffers = workspace(n, lanes, x), workspace(2, lanes, x)
        drive, out = buffers[0], buffers[1]
        one = x.dtype.type(1)
        for task in range(first, stop):
            i, h, block = task // (heads * blocks), task // blocks % heads, task % blocks
            at = block * lanes
            w, group, skip_h = min(lanes, width - at), h // each, skip[h]
            drive[:] = 0
            g[:] = 0
            for j in range(n):
                g[j, :w] = dlast[i, h, j, at : at + w]
            factor, to_skip = one, x.dtype.type(0)
            for t in range(length - 1, -1, -1):
                x_t, scale_t = x[i, t, h, at : at + w], scale[i, t, h]
                dy_t, dx_t = dy[i, t, h, at : at + w], dx[i, t, h, at : at + w]
                for k in range(w):
                    drive[k] = dy_t[k]
                advance(g, factor, c[i, t, group], drive, b[i, t, group], out)
                to_scale = x.dtype.type(0)
                for k in range(w):
                    to_scale += out[k] * x_t[k]
                    to_skip += dy_t[k] * x_t[k]
                    dx_t[k] = scale_t * out[k] + skip_h * dy_t[k]
                dscale[block, i, t, h] = to_scale
                factor = decay[i, t, h]
                if t % span == 0:
                    total = x.dtype.type(0)
                    for j in range(n):
                        g_j, s_j = g[j, :w], kept[i, t // span, h, j, at : at + w]
                        for k in range(w):
                            total += g_j[k] * s_j[k]
                    slope[block, i, t // span, h] = factor * total
            dskip[block, i, h] = to_skip
            for j in range(n):
                to_state, g_j = dstate[i, h, j, at : at + w], g[j]
                for k in range(w):
                    to_state[k] = factor * g_j[k]

    return run


@lru_cache
def shared(lanes: int) -> Callable[..., None]:
    """The gradient of C, or with ``reverse`` of B, of the heads that share them; lanes along n.

    dC_t = S_t dy_t with S from x and B; dB_t = G_t scale_t x_t with G from dy and C. ``dots`` is
    C_t dC_t, or B_t dB_t, of each head by itself.
    """
    advance = stepper(lanes)

    @zoo.ops.fused.jit
    def run(x, scale, decay, lane, put, take, state, reverse, grad, dots, first, stop):  # type: ignore[no-untyped-def] # fmt: skip
        _, length, heads, width = put.shape
        groups, n = grad.shape[2], grad.shape[3]
        blocks, each = (n + lanes - 1) // lanes, heads // groups
        s, buffers = workspace(width, lanes, put), workspace(2, lanes, put)
        drive, out = buffers[0], buffers[1]
        one = put.dtype.type(1)
        for task in range(first, stop):
            i, group, block = task // (groups * blocks), task // blocks % groups, task % blocks
            at = block * lanes
            w = min(lanes, n - at)
            drive[:] = 0
            for h in range(group * each, (group + 1) * each):
                s[:] = 0
                for j in range(w):
                    s[:, j] = state[i, h, at + j]
                factor = one
                for step in range(length):
                    t = length - 1 - step if reverse else step
                    lane_t, grad_t = lane[i, t, group, at : at + w], grad[i, t, group, at : at + w]
                    own_t = x[i, t, group, at : at + w]
                    before = one if reverse else scale[i, t, h]
                    after = scale[i, t, h] if reverse else one
                    if not reverse:
                        factor = decay[i, t, h]
                    for k in range(w):
                        drive[k] = before * lane_t[k]
                    advance(s, factor, put[i, t, h], drive, take[i, t, h], out)
                    factor = decay[i, t, h]
                    total = put.dtype.type(0)
                    for k in range(w):
                        total += out[k] * own_t[k]
                    dots[block, i, t, h] = after * total
                    if h == group * each:
                        for k in range(w):
                            grad_t[k] = after * out[k]
                    else:
                        for k in range(w):
                            grad_t[k] += after * out[k]

    return run
