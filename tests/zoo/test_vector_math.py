"""The functions that compiled kernels call, as exact as they say, where numbers are strange too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo.ops import fused

pytestmark = pytest.mark.skipif(fused.missing() is not None, reason="needs numba")
if fused.missing() is None:
    from zoo.ops.vector_math import exp2, log1p, sigmoid, softplus

    @fused.jit
    def run_exp2(x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y[i] = exp2(x[i])

    @fused.jit
    def run_log1p(x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y[i] = log1p(x[i])

    @fused.jit
    def run_sigmoid(x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y[i] = sigmoid(x[i])

    @fused.jit
    def run_softplus(x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y[i] = softplus(x[i])


def run(name: str, x: Any, dtype: Any) -> Any:
    y = np.empty(len(x), dtype)
    globals()[f"run_{name}"](np.asarray(x, dtype), y)
    return y.astype(np.float64)


EXACT: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp2": (np.exp2, -125, 0),
    "log1p": (np.log1p, 0, 1),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), -80, 80),
    "softplus": (lambda x: np.logaddexp(0, x), -80, 80),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 3e-7), (np.float64, 2e-14)])
def test_they_are_exact_to_the_last_digits(name: str, dtype: Any, error: float) -> None:
    function, least, most = EXACT[name]
    x = np.linspace(least, most, 100_003).astype(dtype).astype(np.float64)
    right = function(x)
    off = np.abs(run(name, x, dtype) - right) / np.maximum(right, 1e-300)
    if name in ("sigmoid", "softplus"):  # to base 2, an argument of 80 is rounded by 4e-6
        assert off.max() < 20 * error
        off = off[np.abs(x) < 1]
    assert off.max() < error


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_strange_numbers_are_what_they_must_be(dtype: Any) -> None:
    big, inf, nan = float(np.finfo(dtype).max), float("inf"), float("nan")
    assert run("exp2", [0, -1, -big, -inf], dtype)[:2].tolist() == [1, 0.5]
    assert run("exp2", [-200, -1e4, -big, -inf], dtype).max() < 2e-38
    assert run("sigmoid", [0, big, inf], dtype).tolist() == [0.5, 1, 1]
    assert run("sigmoid", [-big, -inf], dtype).max() < 2e-38
    assert run("softplus", [big, inf], dtype).tolist() == [big, inf]
    assert 0 <= run("softplus", [-big, -inf], dtype).max() < 2e-38
    for name in EXACT:
        assert np.isnan(run(name, [nan], dtype)).all()
