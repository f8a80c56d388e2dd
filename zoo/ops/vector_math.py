"""exp and log for compiled kernels, as vector units take them: libm's go one number at a time.

Only kernels may import this: it needs numba.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

F, INT = np.float32, np.int32
LOG2E, LN2 = 1.4426950408889634, 0.6931471805599453


@intrinsic
def as_float(context: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


def exp2(z: Any) -> Any:
    """2^z for z <= 0: in float32 to 3e-7, a polynomial times a power built from its bits."""
    raise NotImplementedError  # the overload below is what kernels call


@overload(exp2)
def _exp2(z: Any) -> Any:
    def single(z: Any) -> Any:
        z = F(-126.0) if z < F(-126.0) else z  # written so that NaN stays NaN
        whole = INT(z - F(0.5))
        x = z - F(whole)  # in [-0.5, 0.5]
        # the least error of any such polynomial that is 1 at 0: Taylor's is 36 times as far off
        tail = F(0.05550734) + x * (F(0.009671515) + x * F(0.0013264725))
        near = F(1.0) + x * (F(0.693147) + x * (F(0.24022242) + x * tail))
        return as_float((whole + INT(127)) << INT(23)) * near  # type: ignore[call-arg] # as in kernels

    def double(z: Any) -> Any:
        return np.exp(z * LN2)

    return single if z == types.float32 else double


def log1p(x: Any) -> Any:
    """log(1 + x) for x in [0, 1]: in float32 to 3e-7 of it, by a Chebyshev fit of log1p(x) / x."""
    raise NotImplementedError


@overload(log1p)
def _log1p(x: Any) -> Any:
    def single(x: Any) -> Any:
        high = F(-0.13602248) + x * (F(0.07751609) + x * (F(-0.029074065) + x * F(0.005126102)))
        middle = F(0.3331812) + x * (F(-0.24835399) + x * (F(0.1907688) + x * high))
        return x * (F(0.99999994) + x * (F(-0.49999446) + x * middle))

    def double(x: Any) -> Any:
        return np.log1p(x)

    return single if x == types.float32 else double


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), finite for all finite x."""
    raise NotImplementedError


@overload(sigmoid)
def _sigmoid(x: Any) -> Any:
    one, zero, log2e = (F(1), F(0), F(LOG2E)) if x == types.float32 else (1.0, 0.0, LOG2E)

    def either(x: Any) -> Any:
        e = exp2(-abs(x) * log2e)
        return (one if x >= zero else e) / (one + e)

    return either


def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    raise NotImplementedError


@overload(softplus)
def _softplus(x: Any) -> Any:
    zero, log2e = (F(0), F(LOG2E)) if x == types.float32 else (0.0, LOG2E)

    def either(x: Any) -> Any:
        return (x if x > zero else zero) + log1p(exp2(-abs(x) * log2e))

    return either
