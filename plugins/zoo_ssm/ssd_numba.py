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
"""Lanes of a state: four vectors of the widest unit there is."""
LINE = 64  # bytes: a vector that crosses a line of the cache costs double


def lanes(width: int) -> int:
    """How many lanes to cut ``width`` into: a power of two, no wider than needed."""
    return next(n for n in (16, 32, WIDEST) if n >= min(width, WIDEST))


def signature_of_advance(
    typing: Any, lanes: Any, state: Any, decay: Any, put: Any, scale: Any, x: Any, take: Any, y: Any
) -> Any:
    """state_j = decay state_j + put_j scale x, and y = sum_j take_j state_j, over all rows j.

    state is (n, lanes), x and y are (lanes), put and take (n); all contiguous, lanes a constant.
    """
    signature = types.void(lanes, state, decay, put, scale, x, take, y)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return write_advance(lanes.literal_value, context, builder, signature, arguments)

    return signature, code


# LLVM cannot know that these arrays do not overlap and would check at every row; so the vector
# code is spelt out. Three times faster than the same loop in Python.
advance: Any = intrinsic(prefer_literal=True)(signature_of_advance)


def write_advance(lanes: int, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The body of ``advance`` in LLVM's own terms."""
    number = context.get_value_type(signature.args[1].dtype)
    size = context.get_abi_sizeof(number)
    vector = ir.VectorType(number, lanes)
    fused = {"flags": ("contract",)}

    def array(at: int) -> Any:
        return context.make_array(signature.args[at])(context, builder, arguments[at])

    def vector_at(pointer: Any) -> Any:
        return builder.bitcast(pointer, vector.as_pointer())

    def splat(value: Any) -> Any:
        nothing = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, everywhere)

    states, put, x, take, y = (array(at) for at in (1, 3, 5, 6, 7))
    rows = builder.extract_value(states.shape, 0)
    kept = splat(arguments[2])
    drive = builder.fmul(splat(arguments[4]), builder.load(vector_at(x.data), align=size))

    def row(j: Any, total: Any) -> None:
        at = builder.mul(j, ir.Constant(j.type, lanes))
        place = vector_at(builder.gep(states.data, [at]))
        put_j, take_j = (splat(builder.load(builder.gep(each.data, [j]))) for each in (put, take))
        old = builder.fmul(kept, builder.load(place, align=size), **fused)
        new = builder.fadd(old, builder.fmul(put_j, drive, **fused), **fused)
        builder.store(new, place, align=size)
        taken = builder.fmul(take_j, new, **fused)
        builder.store(builder.fadd(builder.load(total), taken, **fused), total)

    # several sums side by side where the lanes are few: each waits for its last multiply-add
    sums = [cgutils.alloca_once(builder, vector) for _ in range(WIDEST // lanes)]  # type: ignore[no-untyped-call]
    for each in sums:
        builder.store(ir.Constant(vector, [0.0] * lanes), each)
    zero, one, step = (ir.Constant(rows.type, count) for count in (0, 1, len(sums)))
    whole = builder.sub(rows, builder.srem(rows, step))
    with cgutils.for_range_slice(builder, zero, whole, step, inc=True) as (j, _):
        for more, total in enumerate(sums):
            row(builder.add(j, ir.Constant(j.type, more)), total)
    with cgutils.for_range_slice(builder, whole, rows, one, inc=True) as (j, _):
        row(j, sums[0])
    result = builder.load(sums[0])
    for each in sums[1:]:
        result = builder.fadd(result, builder.load(each), **fused)
    builder.store(result, vector_at(y.data), align=size)
    return context.get_dummy_value()


@zoo.ops.fused.jit
def workspace(rows: int, lanes: int, like: Any) -> Any:
    """Zeros (rows, lanes) that start where a line of the cache does."""
    room = np.zeros(rows * lanes + LINE // like.itemsize, like.dtype)
    start = -room.ctypes.data % LINE // like.itemsize
    return room[start : start + rows * lanes].reshape(rows, lanes)


@zoo.ops.fused.jit
def copy(source: Any, target: Any) -> None:
    """Two loops: an assignment of slices takes seconds to compile."""
    for j in range(source.shape[0]):
        for k in range(source.shape[1]):
            target[j, k] = source[j, k]


@lru_cache
def forward(lanes: int) -> Callable[..., None]:
    """y (b l h p), the last state and those before every ``span`` tokens; lanes along p."""

    @zoo.ops.fused.jit
    def run(x, scale, decay, b, c, skip, state, span, y, last, kept, first, stop):  # type: ignore[no-untyped-def]
        length, heads = x.shape[1:3]
        n, blocks, each = b.shape[3], x.shape[3] // lanes, heads // b.shape[2]
        s = workspace(n, lanes, x)
        for task in range(first, stop):
            i, h, at = task // (heads * blocks), task // blocks % heads, task % blocks * lanes
            group, skip_h = h // each, skip[h]
            copy(state[i, h, :, at : at + lanes], s)
            for t in range(length):
                if t % span == 0:
                    copy(s, kept[i, t // span, h, :, at : at + lanes])
                x_t, y_t = x[i, t, h, at : at + lanes], y[i, t, h, at : at + lanes]
                advance(
                    lanes,
                    s,
                    decay[i, t, h],
                    b[i, t, group],
                    scale[i, t, h],
                    x_t,
                    c[i, t, group],
                    y_t,
                )
                for k in range(lanes):
                    y_t[k] += skip_h * x_t[k]
            copy(s, last[i, h, :, at : at + lanes])

    return run


@lru_cache
def backward(lanes: int) -> Callable[..., None]:
    """What the loss gives to x, scale, skip and the first state; lanes along p.

    G_t = C_t dy_t + decay_{t+1} G_{t+1}, and B_t G_t is the gradient of scale_t x_t. ``slope`` is
    the gradient of the logarithm of the decay at the tokens whose state before them was kept:
    decay_t <G_t, S_{t-1}>.
    """

    @zoo.ops.fused.jit
    def run(x, scale, decay, b, c, skip, span, kept, dy, dlast, dx, dscale, dskip, slope, dstate, first, stop):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
        length, heads = x.shape[1:3]
        n, blocks, each = b.shape[3], x.shape[3] // lanes, heads // b.shape[2]
        g = workspace(n, lanes, x)
        zero, one = x.dtype.type(0), x.dtype.type(1)
        for task in range(first, stop):
            i, h, block = task // (heads * blocks), task // blocks % heads, task % blocks
            at, group, skip_h = block * lanes, h // each, skip[h]
            copy(dlast[i, h, :, at : at + lanes], g)
            factor, to_skip = one, zero
            for t in range(length - 1, -1, -1):
                x_t, scale_t = x[i, t, h, at : at + lanes], scale[i, t, h]
                dy_t, dx_t = dy[i, t, h, at : at + lanes], dx[i, t, h, at : at + lanes]
                advance(lanes, g, factor, c[i, t, group], one, dy_t, b[i, t, group], dx_t)
                to_scale = zero
                for k in range(lanes):
                    to_scale += dx_t[k] * x_t[k]
                    to_skip += dy_t[k] * x_t[k]
                for k in range(lanes):
                    dx_t[k] = scale_t * dx_t[k] + skip_h * dy_t[k]
                dscale[block, i, t, h] = to_scale
                factor = decay[i, t, h]
                if t % span == 0:
                    total = zero
                    for j in range(n):
                        s_j = kept[i, t // span, h, j, at : at + lanes]
                        for k in range(lanes):
                            total += g[j, k] * s_j[k]
                    slope[block, i, t // span, h] = factor * total
            dskip[block, i, h] = to_skip
            for j in range(n):
                for k in range(lanes):
                    dstate[i, h, j, at + k] = factor * g[j, k]

    return run


@lru_cache
def shared(lanes: int) -> Callable[..., None]:
    """The gradient of C, or with ``reverse`` of B, of the heads that share them; lanes along n.

    dC_t = S_t dy_t with S from x and B; dB_t = G_t scale_t x_t with G from dy and C. ``dots`` is
    C_t dC_t, or B_t dB_t, of each head by itself; ``own`` is that C, or B.
    """

    @zoo.ops.fused.jit
    def run(own, other, put, take, scale, decay, state, reverse, grad, dots, first, stop):  # type: ignore[no-untyped-def] # fmt: skip
        length, heads, width = put.shape[1:]
        groups, blocks = grad.shape[2], grad.shape[3] // lanes
        each = heads // groups
        s, out = workspace(width, lanes, put), workspace(1, lanes, put)[0]
        zero, one = put.dtype.type(0), put.dtype.type(1)
        for task in range(first, stop):
            i, group, block = task // (groups * blocks), task // blocks % groups, task % blocks
            at = block * lanes
            for h in range(group * each, (group + 1) * each):
                copy(state[i, h, at : at + lanes].T, s)
                later = one
                for step in range(length):
                    t = length - 1 - step if reverse else step
                    factor = later if reverse else decay[i, t, h]
                    before = one if reverse else scale[i, t, h]
                    after = scale[i, t, h] if reverse else one
                    later = decay[i, t, h]
                    other_t, own_t = (
                        other[i, t, group, at : at + lanes],
                        own[i, t, group, at : at + lanes],
                    )
                    advance(lanes, s, factor, put[i, t, h], before, other_t, take[i, t, h], out)
                    grad_t, total = grad[i, t, group, at : at + lanes], zero
                    for k in range(lanes):
                        total += out[k] * own_t[k]
                    dots[block, i, t, h] = after * total
                    if h == group * each:
                        for k in range(lanes):
                            grad_t[k] = after * out[k]
                    else:
                        for k in range(lanes):
                            grad_t[k] += after * out[k]

    return run
