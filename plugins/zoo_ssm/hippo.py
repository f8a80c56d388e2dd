"""HiPPO-LegS, its diagonal plus low-rank form, and the diagonal starts that approximate it."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import zoo

Diagonal = Literal["lin", "inv", "legs", "real"]
Array = NDArray[Any]


def legs(state: int) -> tuple[Array, Array]:
    """A (n, n) and B (n,) of x' = A x + B u, float64.

    With x' = (A x + B u) / t, x holds the coefficients of all the input so far on the Legendre
    polynomials scaled to [0, t], orthonormal for the uniform measure (Gu, Dao, Ermon, Rudra and
    Re 2020, arXiv:2008.07669, theorem 2).
    """
    n = np.arange(state, dtype=np.float64)
    b = np.sqrt(2 * n + 1)
    return -np.tril(np.outer(b, b), -1) - np.diag(n + 1), b


def low_rank(state: int) -> Array:
    """P (n,) for which A + P P^T is normal: -1/2 I and a skew matrix (arXiv:2111.00396, 4)."""
    p: Array = np.sqrt(np.arange(state) + 0.5)
    return p


def normal_part(state: int) -> tuple[Array, Array]:
    """(Lambda (n / 2,), V (n, n / 2)) of A + P P^T, complex: half of each conjugate pair.

    Those with a positive imaginary part, in rising order. The phases of eigenvectors are free:
    they are turned so that V^* P is real and positive. Raises ZooError when ``state`` is odd.
    """
    require_pairs(state)
    a, p = legs(state)[0], low_rank(state)
    skew = a + np.outer(p, p) + 0.5 * np.eye(state)
    imaginary, v = np.linalg.eigh(-1j * skew)  # rising, so the second half is positive
    v = v[:, state // 2 :]
    turned = v.conj().T @ p
    return -0.5 + 1j * imaginary[state // 2 :], v * (turned / np.abs(turned))


def dplr(state: int) -> tuple[Array, Array, Array]:
    """(Lambda, P, B), each (n / 2,), complex: A = V (diag(Lambda) - P P^*) V^*, B -> V^* B.

    P is real and positive, and B, which is sqrt(2) P in every basis, with it. Raises ZooError when
    ``state`` is odd.
    """
    values, v = normal_part(state)
    return values, v.conj().T @ low_rank(state), v.conj().T @ legs(state)[1]


def diagonal(init: Diagonal, state: int) -> tuple[Array, Array]:
    """A and B to start a diagonal model from: complex (n / 2,), or real (n,) for "real".

    Gu, Gupta, Goel and Re 2022, arXiv:2206.11893, section 4: "legs" is the diagonal part of
    ``dplr`` with its B (not halved, as in the authors' code), "inv" its law for large n, "lin"
    the frequencies of a Fourier series, "real" the eigenvalues of HiPPO-LegS itself. B is 1 but
    for "legs". Raises ZooError when ``state`` is odd, unless "real".
    """
    if init == "real":
        return -np.arange(1.0, state + 1), np.ones(state)
    if init == "legs":
        a, _, b = dplr(state)
        return a, b
    require_pairs(state)
    n = np.arange(state // 2)
    imaginary = math.pi * n if init == "lin" else state / math.pi * (state / (2 * n + 1) - 1)
    return -0.5 + 1j * imaginary, np.ones(state // 2, dtype=complex)


def require_pairs(state: int) -> None:
    """Raises ZooError when ``state`` numbers do not make conjugate pairs."""
    if state % 2:
        near = f"mixer.state={state + 1}"
        raise zoo.ZooError(f"mixer.state={state}: conjugate pairs need an even state; try {near}")
