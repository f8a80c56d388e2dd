"""HiPPO against closed forms: the matrices, what they project, their spectra."""

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.polynomial.legendre import legval

import zoo
from zoo_ssm.hippo import Diagonal, diagonal, dplr, legs, low_rank


def test_small_matrices_are_the_papers() -> None:
    a, b = legs(3)
    r3, r5, r15 = math.sqrt(3), math.sqrt(5), math.sqrt(15)
    rows = [[-1.0, 0, 0], [-r3, -2.0, 0], [-r5, -r15, -3.0]]
    np.testing.assert_allclose(a, np.array(rows), rtol=1e-15)
    np.testing.assert_allclose(b, [1, r3, r5], rtol=1e-15)


def test_the_ode_projects_on_legendre_polynomials() -> None:
    """x' = (A x + B u) / t solved for u = t^3 must give the coefficients of s^3 on [0, t].

    x = t^3 c with (3 - A) c = B; the basis is sqrt(2 n + 1) P_n(2 s / t - 1), its measure ds / t.
    """
    state, degree = 8, 3
    a, b = legs(state)
    c = np.linalg.solve(degree * np.eye(state) - a, b)
    points, weights = np.polynomial.legendre.leggauss(20)
    for n in range(state):
        basis = math.sqrt(2 * n + 1) * legval(points, np.eye(state)[n])
        projected = np.sum(weights / 2 * ((points + 1) / 2) ** degree * basis)
        np.testing.assert_allclose(c[n], projected, atol=1e-14)
    assert np.abs(c[degree + 1 :]).max() < 1e-14 < np.abs(c[: degree + 1]).min()


def test_integrated_in_time_it_follows_any_signal() -> None:
    """The same ODE by the bilinear rule against quadrature, for a signal that is no polynomial."""
    state, steps = 6, 4000
    a, b = legs(state)
    eye = np.eye(state)
    x = np.array([1.0] + [0.0] * (state - 1))  # all that is known at t -> 0: the constant cos 0
    grid = np.linspace(1e-3, 3.0, steps)
    for t, later in pairwise(grid):
        half, middle = math.log(later / t) / 2, (t + later) / 2  # dt / t is d log t
        right = (eye + half * a) @ x + 2 * half * b * math.cos(middle)
        x = np.linalg.solve(eye - half * a, right)
    points, weights = np.polynomial.legendre.leggauss(40)
    signal = np.cos(3.0 * (points + 1) / 2)
    for n in range(state):
        basis = math.sqrt(2 * n + 1) * legval(points, np.eye(state)[n])
        np.testing.assert_allclose(x[n], np.sum(weights / 2 * signal * basis), atol=2e-5)


@pytest.mark.parametrize("state", [2, 4, 16, 64])
def test_dplr_is_legs_in_another_basis(state: int) -> None:
    a, b = legs(state)
    values, p, turned = dplr(state)
    np.testing.assert_allclose(values.real, -0.5)
    assert (np.diff(values.imag) > 0).all()
    assert values.imag[0] > 0
    np.testing.assert_allclose(p.imag, 0, atol=1e-10)
    assert p.real.min() > 0
    np.testing.assert_allclose(turned, math.sqrt(2) * p, atol=1e-9)
    # a similarity keeps C (s - A)^-1 B for C = B^T: compare it away from the spectrum
    both = [np.concatenate([x, x.conj()]) for x in (values, p, turned)]
    full = np.diag(both[0]) - np.outer(both[1], both[1].conj())
    for s in (1.0, 3.0 + 7.0j, 50.0j):
        right = b @ np.linalg.solve(s * np.eye(state) - a, b)
        mine = both[2].conj() @ np.linalg.solve(s * np.eye(state) - full, both[2])
        np.testing.assert_allclose(mine, right, rtol=1e-9)
    # so do traces of powers
    for power in (1, 2, 3):
        right = np.trace(np.linalg.matrix_power(a, power))
        mine = np.trace(np.linalg.matrix_power(full, power))
        np.testing.assert_allclose(mine, right, rtol=1e-8)


def test_the_correction_makes_it_normal() -> None:
    a, _ = legs(12)
    normal = a + np.outer(low_rank(12), low_rank(12))
    np.testing.assert_allclose(normal + normal.T, -np.eye(12), atol=1e-12)
    np.testing.assert_allclose(normal @ normal.T, normal.T @ normal, atol=1e-10)


def test_diagonal_starts_are_the_papers() -> None:
    lin, ones = diagonal("lin", 6)
    np.testing.assert_allclose(lin, [-0.5, -0.5 + 1j * math.pi, -0.5 + 2j * math.pi])
    np.testing.assert_allclose(ones, 1)
    inv, _ = diagonal("inv", 6)
    np.testing.assert_allclose(inv.imag, np.array([5, 1, 0.2]) * 6 / math.pi)
    real, _ = diagonal("real", 5)
    np.testing.assert_allclose(real, [-1, -2, -3, -4, -5])
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(legs(5)[0]).real), real[::-1])
    values, b = diagonal("legs", 8)
    np.testing.assert_allclose(values, dplr(8)[0])
    np.testing.assert_allclose(b, dplr(8)[2])


def test_inv_is_the_law_of_legs_for_large_states() -> None:
    """Section 4 of the S4D paper: the imaginary parts of LegS tend to those of S4D-Inv."""
    gaps = []
    for state in (32, 64, 128, 256):
        values, law = dplr(state)[0].imag[::-1], diagonal("inv", state)[0].imag
        gaps.append(np.abs(values[:4] / law[:4] - 1))
    assert (np.diff(gaps, axis=0) < 0).all()
    assert gaps[-1].max() < 0.03
    assert gaps[-1][0] < 0.005


@pytest.mark.parametrize("init", ["lin", "inv", "legs"])
def test_an_odd_state_is_refused(init: Diagonal) -> None:
    with pytest.raises(zoo.ZooError, match=r"mixer\.state=7: .* try mixer\.state=8"):
        diagonal(init, 7)
