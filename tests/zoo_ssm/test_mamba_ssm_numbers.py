"""The scans against numbers that the pure-torch references of the authors' mamba_ssm gave.

They import only where its CUDA build does; run by themselves from its commit e9594ce, they turned
the waves below into these outputs and gradients.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo_ssm.selective_scan import KERNELS
from zoo_ssm.ssd import KERNELS as SSD

SCANS = [pytest.param(k.run, id=k.name) for k in KERNELS if k.name not in ("mamba_ssm", "triton")]
SSDS = [pytest.param(kernel.run, id=kernel.name) for kernel in SSD]


def wave(*shape: int, phase: float) -> Tensor:
    """Numbers that need no generator: a sine along memory."""
    at = 1.7 * torch.arange(math.prod(shape), dtype=torch.float64) + phase
    return at.sin().reshape(shape)


def inputs(length: int) -> list[Tensor]:
    """u, dt, a, b, c, skip, z, bias of two rows, three channels, four numbers each."""
    u, dt, z = (wave(2, 9, 3, phase=phase)[:, :length] for phase in (0, 1, 2))
    b, c = (wave(2, 9, 4, phase=phase)[:, :length] for phase in (3, 4))
    a, skip, bias = -wave(3, 4, phase=5).exp(), wave(3, phase=6), wave(3, phase=7)
    return [each.detach().requires_grad_() for each in (u, dt, a, b, c, skip, z, bias)]


def near(mine: Any, theirs: list[float]) -> None:
    """To the precision of float32, in which they computed."""
    mine = torch.as_tensor(mine, dtype=torch.float64).flatten()
    torch.testing.assert_close(mine, torch.tensor(theirs).double(), rtol=1e-5, atol=1e-6)


def sizes(tensors: tuple[Tensor, ...]) -> list[float]:
    """The sum of magnitudes of each."""
    return [float(tensor.detach().abs().sum()) for tensor in tensors]


@pytest.mark.parametrize("run", SCANS)
def test_selective_scan_ref(run: Any) -> None:
    leaves = inputs(9)
    y, last = run(*leaves)
    grads = torch.autograd.grad((y * wave(2, 9, 3, phase=8)).sum(), leaves)
    near(y[0, -1].detach(), [0.025160706, -0.71215558, 0.18170670])
    near(y[1, -1].detach(), [-0.36298594, 0.65978718, -0.048644077])
    near(sizes((y,)), [13.4347])
    rows = [0.079425156, -0.70800447, -0.44292399, 0.77885514]
    rows += [-1.0391312, 0.62295562, 0.44809294, -1.1909269]
    rows += [-0.02817829, 0.25286797, -0.0027131885, 0.074838489]
    near(last[1].detach(), rows)
    wanted = [14.945484, 3.2044768, 6.9595013, 11.143591, 11.662463, 1.2482142, 13.246737]
    near(sizes(grads), [*wanted, 0.46932244])


@pytest.mark.parametrize("run", SCANS)
@pytest.mark.parametrize("trained", [True, False])
def test_selective_state_update_ref(run: Any, trained: bool) -> None:
    with torch.set_grad_enabled(trained):
        y, last = run(*inputs(1), wave(2, 3, 4, phase=9))
    rows = [0.0027640208, -0.47329076, -0.33220488, -0.20177164, 0.40598048, -1.1688027]
    near(y.detach(), rows)
    rows = [0.56555036, 0.035194527, -1.0964007, 0.24191013, -1.003971, 0.041453159]
    rows += [0.64006101, -0.40366165, -0.92203963, 0.21771035, 0.76392277, -0.77755838]
    near(last[1].detach(), rows)


@pytest.mark.parametrize("run", SSDS)
def test_ssd_minimal_discrete(run: Any) -> None:
    x, decay = wave(2, 12, 2, 3, phase=0), -wave(2, 12, 2, phase=1).exp()
    b, c = wave(2, 12, 2, 4, phase=2), wave(2, 12, 2, 4, phase=3)
    leaves = [each.requires_grad_() for each in (x, decay, b, c, wave(2, 2, 4, 3, phase=4))]
    y, last = run(*leaves)
    loss = (y * wave(2, 12, 2, 3, phase=5)).sum() + (last * wave(2, 2, 4, 3, phase=6)).sum()
    grads = torch.autograd.grad(loss, leaves)
    rows = [1.2953097, -0.6900882, -1.1174815, 1.1021241, 1.0765187, -1.3795311]
    near(y[1, -1].detach(), rows)
    near(sizes((y,)), [118.02322])
    rows = [0.71758643, 0.34160469, -0.80561419, 0.099087772, -0.39159712, 0.0018224945]
    rows += [-0.74311982, -0.24069431, 0.80514409, 0.092406023, 0.45362186, -0.20929938]
    near(last[1, 1].detach(), rows)
    near(sizes(grads), [128.63087, 15.419246, 75.093956, 62.946979, 6.7518838])
