"""Compiled loops for attention to chosen blocks: small products of matrices, written out.

Queries go in tiles. In each the choices are turned round, into the queries that chose each block,
and those meet its keys in one product of matrices: so a block is read once a tile, however many
chose it. Softmax is online (Milakov & Gimelshein 2018, arXiv:1805.02867); the backward pass
computes weights again from the logarithms of their sums, which it takes to the base 2.
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
from zoo.ops.vector_math import exp2

LOG2E = 1.4426950408889634
WIDEST = 64
"""Lanes: four vectors of the widest unit there is."""
ROWS = 4
"""Rows of a product computed together: each number of the right factor is loaded once for all."""


def lanes(width: int) -> int:
    """How many lanes to cut ``width`` into: a power of two, no wider than needed."""
    return next(n for n in (16, 32, WIDEST) if n >= min(width, WIDEST))


def signature_of_product(
    typing: Any, lanes: Any, out: Any, left: Any, right: Any, rows: Any, turned: Any, add: Any
) -> Any:
    """out = left @ right, or with ``turned`` left^T @ right; with ``add`` on top of what is there.

    All contiguous. ``rows`` of left count (what the sum is over if turned); of those of out, a
    multiple of ROWS is written. ``lanes``, ``turned`` and ``add`` are constants.
    """
    signature = types.void(lanes, out, left, right, rows, turned, add)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flags = lanes.literal_value, bool(turned.literal_value), bool(add.literal_value)
        return write_product(*flags, context, builder, signature, arguments)

    return signature, code


# LLVM cannot know that these arrays do not overlap and would check at every row; so the vector
# code is spelt out, as for state space duality
product: Any = intrinsic(prefer_literal=True)(signature_of_product)


def write_product(
    lanes: int, turned: bool, add: bool, context: Any, builder: Any, signature: Any, arguments: Any
) -> Any:
    """The body of ``product`` in LLVM's own terms."""
    number = context.get_value_type(signature.args[1].dtype)
    size = context.get_abi_sizeof(number)
    vector = ir.VectorType(number, lanes)
    fused = {"flags": ("contract",)}
    out, left, right = (
        context.make_array(signature.args[at])(context, builder, arguments[at]) for at in (1, 2, 3)
    )
    rows = arguments[4]

    def constant(value: int) -> Any:
        return ir.Constant(rows.type, value)

    def place(array: Any, row: Any, column: Any) -> Any:
        stride = builder.extract_value(array.shape, 1)
        return builder.gep(array.data, [builder.add(builder.mul(row, stride), column)])

    def load(pointer: Any) -> Any:
        return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=size)

    def splat(value: Any) -> Any:
        nothing = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, everywhere)

    across = builder.extract_value(left.shape, 1)
    columns = builder.extract_value(right.shape, 1)
    heights, depth = (across, rows) if turned else (rows, across)
    sums = [cgutils.alloca_once(builder, vector) for _ in range(ROWS)]  # type: ignore[no-untyped-call]
    zero, one = constant(0), constant(1)
    span = cgutils.for_range_slice(builder, zero, columns, constant(lanes), inc=True)
    with span as (column, _):
        down = cgutils.for_range_slice(builder, zero, heights, constant(ROWS), inc=True)
        with down as (row, _):
            targets = [place(out, builder.add(row, constant(r)), column) for r in range(ROWS)]
            for total, target in zip(sums, targets, strict=True):
                none = ir.Constant(vector, [0.0] * lanes)
                builder.store(load(target) if add else none, total)
            with cgutils.for_range_slice(builder, zero, depth, one, inc=True) as (k, _):
                factor = load(place(right, k, column))
                for r, total in enumerate(sums):
                    at = builder.add(row, constant(r))
                    number_at = place(left, k, at) if turned else place(left, at, k)
                    more = builder.fmul(splat(builder.load(number_at)), factor, **fused)
                    builder.store(builder.fadd(builder.load(total), more, **fused), total)
            for total, target in zip(sums, targets, strict=True):
                spot = builder.bitcast(target, vector.as_pointer())
                builder.store(builder.load(total), spot, align=size)
    return context.get_dummy_value()


@zoo.ops.fused.jit
def turn_round(chosen: Any, start: int, stop: int, bounds: Any, members: Any) -> None:
    """The queries ``start`` .. ``stop`` by the block they chose, in their order.

    Those of block c are ``members`` from bounds[c + 1] to bounds[c + 2].
    """
    bounds[:] = 0
    for t in range(start, stop):
        for j in range(chosen.shape[1]):
            if chosen[t, j] >= 0:
                bounds[chosen[t, j] + 1] += 1
    for c in range(1, len(bounds)):
        bounds[c] += bounds[c - 1]
    for t in range(stop - 1, start - 1, -1):
        for j in range(chosen.shape[1]):
            if chosen[t, j] >= 0:
                bounds[chosen[t, j] + 1] -= 1
                members[bounds[chosen[t, j] + 1]] = t


@zoo.ops.fused.jit
def gather(source: Any, members: Any, first: int, last: int, target: Any) -> int:
    """Rows of the queries (heads, l, e) that are ``members``, head by head, side by side."""
    row = 0
    for at in range(first, last):
        for head in range(source.shape[0]):
            for k in range(source.shape[2]):
                target[row, k] = source[head, members[at], k]
            row += 1
    return row


@zoo.ops.fused.jit
def in_sight(query: int, first: int, block: int, causal: bool, end: int) -> int:
    """How many keys of the block that starts at ``first`` a query sees."""
    last = min(query + 1, end) if causal else end
    return max(0, min(block, last - first))


@zoo.ops.fused.jit
def weigh(scores: Any, seen: int, scale: Any, most: Any, maxima: Any) -> Any:
    """Scores of a row to the weights 2^(scale score - maximum), 0 out of sight; the maximum.

    ``most`` is the maximum so far, ``maxima`` room for 16 numbers.
    """
    for j in range(len(scores)):
        scores[j] = scores[j] * scale if j < seen else -np.inf
    maxima[:] = most
    for j in range(0, len(scores), 16):
        for k in range(16):  # side by side, for vector units
            maxima[k] = scores[j + k] if scores[j + k] > maxima[k] else maxima[k]
    for k in range(16):
        most = maxima[k] if maxima[k] > most else most
    for j in range(len(scores)):
        scores[j] = exp2(scores[j] - most) if j < seen else scores.dtype.type(0)
    return most


@lru_cache
def forward(along_keys: int, along_width: int) -> Callable[..., None]:
    """y (b h l e) and the logarithms of the sums (b h l), -inf for a query without keys.

    Keys come as (b g n e c) and values as (b g n c e), in blocks of c, padded to whole lanes.
    """

    @zoo.ops.fused.jit
    def run(q, keys, values, chosen, ends, block, causal, start, scale, tile, y, sums, first, stop):  # type: ignore[no-untyped-def] # fmt: skip
        heads, length, width = q.shape[1:]
        choosers, blocks, size = chosen.shape[1], keys.shape[2], keys.shape[4]
        share, per, tiles = heads // choosers, choosers // keys.shape[1], -(-length // tile)
        bounds, members = np.zeros(blocks + 2, np.int64), np.zeros(tile * chosen.shape[3], np.int64)
        rows = tile * share + ROWS
        queries, weights = np.zeros((rows, width), q.dtype), np.zeros((rows, size), q.dtype)
        read, total = np.zeros((rows, width), q.dtype), np.zeros((tile * share, width), q.dtype)
        most, mass = np.zeros(tile * share, q.dtype), np.zeros(tile * share, q.dtype)
        kept, maxima = np.zeros(rows, q.dtype), np.zeros(16, q.dtype)
        zero, one = q.dtype.type(0), q.dtype.type(1)
        for task in range(first, stop):
            i, own, at = task // (choosers * tiles), task // tiles % choosers, task % tiles * tile
            end, head, group = min(length, at + tile), own * share, own // per
            turn_round(chosen[i, own], at, end, bounds, members)
            total[:], most[:], mass[:] = zero, -np.inf, zero
            for c in range(blocks):
                low, high = bounds[c + 1], bounds[c + 2]
                if low == high:
                    continue
                count = gather(q[i, head : head + share], members, low, high, queries)
                product(along_keys, weights, queries, keys[i, group, c], count, False, False)
                for row in range(count):
                    t = members[low + row // share]
                    to = (t - at) * share + row % share
                    seen = in_sight(start + t, c * block, block, causal, ends[i])
                    before = most[to]
                    most[to] = weigh(weights[row], seen, scale, before, maxima)
                    kept[row] = exp2(before - most[to]) if before > -np.inf else zero
                    more = zero
                    for j in range(size):
                        more += weights[row, j]
                    mass[to] = mass[to] * kept[row] + more
                product(along_width, read, weights, values[i, group, c], count, False, False)
                for row in range(count):
                    to = (members[low + row // share] - at) * share + row % share
                    for k in range(width):
                        total[to, k] = total[to, k] * kept[row] + read[row, k]
            for t in range(at, end):
                for h in range(share):
                    to = (t - at) * share + h
                    by = one / mass[to] if mass[to] > zero else zero
                    for k in range(width):
                        y[i, head + h, t, k] = total[to, k] * by
                    sums[i, head + h, t] = most[to] + np.log2(mass[to])

    return run


@lru_cache
def backward(along_keys: int, along_width: int) -> Callable[..., None]:
    """What dy gives to queries, and to keys and values (split, b g n c e) by split of the tiles.

    ``slope`` (b h l) is y . dy. Beside the keys and values as the forward pass takes them come
    those turned the other way. A split is a task and adds up its own sums: their order does not
    depend on who does them.
    """

    @zoo.ops.fused.jit
    def run(q, keys, keys_turned, values_turned, chosen, ends, block, causal, start, scale, tile, sums, slope, dy, dq, dk, dv, first, stop):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
        heads, length, width = q.shape[1:]
        choosers, groups, blocks, size = (
            chosen.shape[1],
            keys.shape[1],
            keys.shape[2],
            keys.shape[4],
        )
        share, per, tiles = heads // choosers, choosers // groups, -(-length // tile)
        splits, natural = dk.shape[0], scale / q.dtype.type(LOG2E)
        bounds, members = np.zeros(blocks + 2, np.int64), np.zeros(tile * chosen.shape[3], np.int64)
        rows = tile * share + ROWS
        queries, losses = np.zeros((rows, width), q.dtype), np.zeros((rows, width), q.dtype)
        weights, slopes = np.zeros((rows, size), q.dtype), np.zeros((rows, size), q.dtype)
        read, zero = np.zeros((rows, width), q.dtype), q.dtype.type(0)
        for task in range(first, stop):
            split, i, group = task % splits, task // splits // groups, task // splits % groups
            dk[split, i, group], dv[split, i, group] = zero, zero
            for job in range(split, per * tiles, splits):
                own, at = group * per + job // tiles, job % tiles * tile
                end, head = min(length, at + tile), own * share
                turn_round(chosen[i, own], at, end, bounds, members)
                dq[i, head : head + share, at:end] = zero
                for c in range(blocks):
                    low, high = bounds[c + 1], bounds[c + 2]
                    if low == high:
                        continue
                    count = gather(q[i, head : head + share], members, low, high, queries)
                    gather(dy[i, head : head + share], members, low, high, losses)
                    product(along_keys, weights, queries, keys[i, group, c], count, False, False)
                    product(
                        along_keys, slopes, losses, values_turned[i, group, c], count, False, False
                    )
                    for row in range(count):
                        t, h = members[low + row // share], head + row % share
                        seen = in_sight(start + t, c * block, block, causal, ends[i])
                        less, flat = sums[i, h, t], slope[i, h, t]
                        for j in range(size):
                            w = exp2(weights[row, j] * scale - less) if j < seen else zero
                            weights[row, j] = w
                            slopes[row, j] = w * (slopes[row, j] - flat) * natural
                    product(along_width, dv[split, i, group, c], weights, losses, count, True, True)
                    product(along_width, dk[split, i, group, c], slopes, queries, count, True, True)
                    product(
                        along_width, read, slopes, keys_turned[i, group, c], count, False, False
                    )
                    for row in range(count):
                        t, h = members[low + row // share], head + row % share
                        for k in range(width):
                            dq[i, h, t, k] += read[row, k]

    return run
