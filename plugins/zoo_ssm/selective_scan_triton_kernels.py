"""The selective scan's Triton kernels; imported by nobody before triton is known to be there.

A program is one row of the batch and one block of channels. It walks through time in tiles of
``T`` tokens and carries its states, (n, channels), from tile to tile. Inside a tile everything is
(T, n, channels) in registers: all its loads stand before the recurrence, so that they wait for
memory together, and the recurrence is a scan along the axis that one thread holds.
"""

# Triton reads annotations as code
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import triton
import triton.language as tl


@triton.jit
def _chain(decay_1, sum_1, decay_2, sum_2):
    """Two stretches of s -> decay s + sum, one after the other."""
    return decay_1 * decay_2, sum_2 + decay_2 * sum_1


@triton.jit
def _softplus(x):
    """log(1 + exp(x)) by a series of the inverse hyperbolic tangent, to float32's precision.

    The machine's fast logarithm keeps few digits near 1, where small step sizes are.
    """
    e = tl.exp(-tl.abs(x))
    s = e / (2.0 + e)  # log(1 + e) = 2 atanh(s), s up to 1/3
    q = s * s
    series = 1.0 / 13 + q * (1.0 / 15 + q * (1.0 / 17))
    series = 1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * series))
    series = 1.0 + q * (1.0 / 3 + q * (1.0 / 5 + q * series))
    return tl.maximum(x, 0.0) + 2.0 * s * series


@triton.jit
def _tile(
    pointer,
    row,
    t,
    column,
    length,
    width,
    stride_b,
    stride_l,
):
    """Tokens ``t`` by ``column`` of a (b, l, width) in float32, zero outside of it."""
    at = row * stride_b + t[:, None].to(tl.int64) * stride_l + column[None, :]
    mask = ((t >= 0) & (t < length))[:, None] & (column < width)[None, :]
    return tl.load(pointer + at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _steps(raw, bias, t, length):
    """Step sizes (T, channels); zero beyond the end, where nothing is forgotten or written."""
    return tl.where((t < length)[:, None], _softplus(raw + bias[None, :]), 0.0)


@triton.jit
def forward(
    u,
    raw,
    a,
    b,
    c,
    skip,
    z,
    bias,
    state,
    y,
    last,
    kept,
    length,
    channels,
    states,
    u_b,
    u_l,
    raw_b,
    raw_l,
    b_b,
    b_l,
    c_b,
    c_l,
    z_b,
    z_l,
    T: tl.constexpr,  # noqa: N803
    N: tl.constexpr,  # noqa: N803
    D: tl.constexpr,  # noqa: N803
    KEEP: tl.constexpr,  # noqa: N803
):
    """u, raw (step sizes before bias and softplus), z, y: (b, l, d); b, c: (b, l, n).

    a, and state and last of each row: (n, d). ``kept``, (b, tiles, n, d), takes the states before
    every tile if KEEP. ``x_b`` and ``x_l`` are the strides of x; all else is contiguous.
    """
    row = tl.program_id(1).to(tl.int64)
    d = tl.program_id(0) * D + tl.arange(0, D)
    n = tl.arange(0, N)
    tile = tl.arange(0, T)
    of_d = d < channels
    of_state = n[:, None] * channels + d[None, :]
    in_state = (n < states)[:, None] & of_d[None, :]
    numbers = states * channels
    rate = tl.load(a + of_state, mask=in_state, other=0.0) * 1.4426950408889634
    h = tl.load(state + row * numbers + of_state, mask=in_state, other=0.0)
    skips = tl.load(skip + d, mask=of_d, other=0.0)
    biases = tl.load(bias + d, mask=of_d, other=0.0)
    kept += row * tl.cdiv(length, T) * numbers
    for start in range(0, length, T):
        t = start + tile
        x = _tile(u, row, t, d, length, channels, u_b, u_l)
        dt = _steps(_tile(raw, row, t, d, length, channels, raw_b, raw_l), biases, t, length)
        bs = _tile(b, row, t, n, length, states, b_b, b_l)
        cs = _tile(c, row, t, n, length, states, c_b, c_l)
        gate = _tile(z, row, t, d, length, channels, z_b, z_l)
        if KEEP:
            tl.store(kept + of_state, h, mask=in_state)
            kept += numbers
        decay = tl.exp2(dt[:, None, :] * rate[None])
        drive = (dt * x)[:, None, :] * bs[:, :, None]
        through, own = tl.associative_scan((decay, drive), 0, _chain)
        hs = own + through * h[None]
        out = tl.sum(hs * cs[:, :, None], 1) + skips[None, :] * x
        out = out * gate * tl.sigmoid(gate)
        at = (row * length + t[:, None]) * channels + d[None, :]
        mask = (t < length)[:, None] & of_d[None, :]
        tl.store(y + at, out.to(y.dtype.element_ty), mask=mask)
        h = tl.sum(tl.where((tile == T - 1)[:, None, None], hs, 0.0), 0)
    tl.store(last + row * numbers + of_state, h, mask=in_state)


@triton.jit
def backward(
    u,
    raw,
    a,
    b,
    c,
    skip,
    z,
    bias,
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
    length,
    channels,
    states,
    u_b,
    u_l,
    raw_b,
    raw_l,
    b_b,
    b_l,
    c_b,
    c_l,
    z_b,
    z_l,
    T: tl.constexpr,  # noqa: N803
    N: tl.constexpr,  # noqa: N803
    D: tl.constexpr,  # noqa: N803
):
    """From the last tile to the first, the states of each computed again from ``kept``.

    Adjoints of what rows or blocks of channels share are left in parts, to be summed in an order
    that is always the same: da (b, n, d), dskip and dbias (b, d), db and dc (blocks, b, l, n).
    """
    row = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0)
    d = block * D + tl.arange(0, D)
    n = tl.arange(0, N)
    tile = tl.arange(0, T)
    of_d = d < channels
    of_n = n < states
    of_state = n[:, None] * channels + d[None, :]
    in_state = of_n[:, None] & of_d[None, :]
    numbers = states * channels
    rate = tl.load(a + of_state, mask=in_state, other=0.0)
    skips = tl.load(skip + d, mask=of_d, other=0.0)
    biases = tl.load(bias + d, mask=of_d, other=0.0)
    carry = tl.load(dlast + row * numbers + of_state, mask=in_state, other=0.0)
    to_rate = tl.zeros([N, D], tl.float32)
    to_skip = tl.zeros([D], tl.float32)
    to_bias = tl.zeros([D], tl.float32)
    parts = (block.to(tl.int64) * tl.num_programs(1) + row) * length
    tiles = tl.cdiv(length, T)
    for index in range(tiles):
        number = tiles - 1 - index
        t = number * T + tile
        x = _tile(u, row, t, d, length, channels, u_b, u_l)
        pre = _tile(raw, row, t, d, length, channels, raw_b, raw_l)
        bs = _tile(b, row, t, n, length, states, b_b, b_l)
        cs = _tile(c, row, t, n, length, states, c_b, c_l)
        gate = _tile(z, row, t, d, length, channels, z_b, z_l)
        grad = _tile(dy, row, t, d, length, channels, length * channels, channels)
        # the token before, none before the tile: ``kept`` stands there
        before = tl.where((tile > 0)[:, None], 1.0, 0.0)
        x_old = _tile(u, row, t - 1, d, length, channels, u_b, u_l)
        pre_old = _tile(raw, row, t - 1, d, length, channels, raw_b, raw_l)
        b_old = _tile(b, row, t - 1, n, length, states, b_b, b_l)
        h = tl.load(kept + (row * tiles + number) * numbers + of_state, mask=in_state, other=0.0)

        # remembered_t = decay_t h_t-1, by itself and not as h_t - drive_t, which would cancel
        dt = _steps(pre, biases, t, length)
        decay = tl.exp2(dt[:, None, :] * (rate * 1.4426950408889634)[None])
        written = (_steps(pre_old, biases, t - 1, length) * before * x_old)[:, None, :]
        through, own = tl.associative_scan((decay, decay * written * b_old[:, :, None]), 0, _chain)
        remembered = own + through * h[None]
        drive = dt * x
        hs = remembered + drive[:, None, :] * bs[:, :, None]

        sigmoid = tl.sigmoid(gate)
        out = tl.sum(hs * cs[:, :, None], 1) + skips[None, :] * x
        at = (row * length + t[:, None]) * channels + d[None, :]
        mask = (t < length)[:, None] & of_d[None, :]
        to_gate = grad * out * sigmoid * (1.0 + gate * (1.0 - sigmoid))
        tl.store(dz + at, to_gate.to(dz.dtype.element_ty), mask=mask)
        grad = grad * gate * sigmoid
        to_skip += tl.sum(grad * x, 0)

        # g_t = c_t grad_t + decay_t+1 g_t+1, what is carried counting fully in the last token; in
        # tokens read backwards, since Triton's own reverse scan sends every number round its warp
        back = number * T + (T - 1 - tile)
        pre_new = _tile(raw, row, back + 1, d, length, channels, raw_b, raw_l)
        c_back = _tile(c, row, back, n, length, states, c_b, c_l)
        gate_back = _tile(z, row, back, d, length, channels, z_b, z_l)
        grad_back = _tile(dy, row, back, d, length, channels, length * channels, channels)
        step = tl.where((tile > 0)[:, None], _steps(pre_new, biases, back + 1, length), 0.0)
        ahead = tl.exp2(step[:, None, :] * (rate * 1.4426950408889634)[None])
        grad_back = grad_back * gate_back * tl.sigmoid(gate_back)
        pulled = grad_back[:, None, :] * c_back[:, :, None]
        through, own = tl.associative_scan((ahead, pulled), 0, _chain)
        g = tl.flip(own + through * carry[None], 0)
        carry = tl.sum(tl.where((tile == 0)[:, None, None], g * decay, 0.0), 0)

        in_part = (t < length)[:, None] & of_n[None, :]
        at_part = (parts + t[:, None]) * states + n[None, :]
        tl.store(dc + at_part, tl.sum(grad[:, None, :] * hs, 2), mask=in_part)
        tl.store(db + at_part, tl.sum(g * drive[:, None, :], 2), mask=in_part)
        to_drive = tl.sum(g * bs[:, :, None], 1)
        slope = g * remembered  # the adjoint of dt_t times a
        to_step = tl.sum(slope * rate[None], 1) + to_drive * x
        to_rate += tl.sum(slope * dt[:, None, :], 0)
        to_pre = tl.where((t < length)[:, None], to_step * tl.sigmoid(pre + biases[None, :]), 0.0)
        to_bias += tl.sum(to_pre, 0)
        to_u = to_drive * dt + skips[None, :] * grad
        tl.store(du + at, to_u.to(du.dtype.element_ty), mask=mask)
        tl.store(draw + at, to_pre.to(draw.dtype.element_ty), mask=mask)
    tl.store(da + row * numbers + of_state, to_rate, mask=in_state)
    tl.store(dstate + row * numbers + of_state, carry, mask=in_state)
    tl.store(dskip + row * channels + d, to_skip, mask=of_d)
    tl.store(dbias + row * channels + d, to_bias, mask=of_d)
