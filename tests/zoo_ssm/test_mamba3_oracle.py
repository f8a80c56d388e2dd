"""Mamba-3 against the paper's complex recurrence, and against numbers of the authors' code."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo_ssm.mamba3 import Mamba3

CASES: list[dict[str, Any]] = [
    {"state": 8, "head_dim": 4},
    {"state": 6, "head_dim": 8, "groups": 2, "rope_fraction": 1.0},
    {"state": 8, "head_dim": 16, "out_norm": True},
    {"state": 10, "head_dim": 4, "groups": 4, "rank": 3},
    {"state": 6, "head_dim": 8, "rope_fraction": 1.0, "rank": 2, "out_norm": True},
]


def by_complex_numbers(mixer: Mamba3, u: Tensor) -> Tensor:
    """The layer of Lahoti et al. 2026, arXiv:2603.15569, for one sequence (l, d) in float64.

    Two real numbers of the state are one complex number, which turns by itself: no rotation of B
    or C, no cumulative angle, no ranks side by side, no heads side by side.
    """
    weights = dict(mixer.named_parameters())
    heads, rank, n, p = mixer.heads, mixer.rank, mixer.state, mixer.head_dim
    y = u.new_zeros(len(u), heads, p)
    inner, shared = heads * p, rank * mixer.groups * n
    first = [0, inner, 2 * inner, 2 * inner + shared, 2 * inner + 2 * shared]
    projected = u @ weights["in_proj.weight"].T
    z, x, b_all, c_all, rest = torch.tensor_split(projected, first[1:], dim=1)
    for head in range(heads):
        group = head // (heads // mixer.groups)
        mine = slice(head * p, (head + 1) * p)
        dt = F.softplus(rest[:, head] + weights["dt_bias"][head])
        a = -F.softplus(rest[:, heads + head]).clamp(min=1e-4)
        share = torch.sigmoid(rest[:, 2 * heads + head])
        speed = math.pi * torch.tanh(rest[:, 3 * heads :])  # (l, turning)
        speed = F.pad(speed, (0, n // 2 - speed.shape[1]))
        b: list[Tensor] = []
        c: list[Tensor] = []
        for i in range(rank):
            at = slice((i * mixer.groups + group) * n, (i * mixer.groups + group + 1) * n)
            for vectors, name, out in ((b_all, "B", b), (c_all, "C", c)):
                v = vectors[:, at]
                v = v / torch.sqrt((v * v).mean(1, keepdim=True) + 1e-5)
                v = v * weights[f"{name}_norm.weight"] + weights[f"{name}_bias"][head, i]
                one, two = (
                    (v[:, ::2], v[:, 1::2]) if rank == 1 else (v[:, : n // 2], v[:, n // 2 :])
                )
                out.append(torch.complex(one, two))
        h = torch.zeros(n // 2, p, dtype=torch.complex128)
        before = torch.zeros_like(h)
        for t in range(len(u)):
            turn = torch.exp(torch.complex(a[t].expand(n // 2), -speed[t]) * dt[t])[:, None]
            said = [x[t, mine] * scale(mixer, "mimo_x", head, i) for i in range(rank)]
            outer = [torch.outer(b[i][t], said[i] + 0j) for i in range(rank)]
            wrote = torch.stack(outer).sum(0)
            h = turn * (h + (1 - share[t]) * dt[t] * before) + share[t] * dt[t] * wrote
            before = wrote
            for i in range(rank):
                out_t = (c[i][t].conj() @ h).real + weights["D"][head] * said[i]
                if mixer.norm is not None:
                    out_t = out_t / torch.sqrt((out_t * out_t).mean() + 1e-5)
                    out_t = out_t * weights["norm.weight"][mine]
                gate = z[t, mine] * scale(mixer, "mimo_z", head, i)
                out_t = out_t * gate * torch.sigmoid(gate) * scale(mixer, "mimo_o", head, i)
                y = y.index_put((torch.tensor(t), torch.tensor(head)), out_t, accumulate=True)
    return y.flatten(1) @ weights["out_proj.weight"].T


def scale(mixer: Mamba3, name: str, head: int, rank: int) -> Tensor:
    """A MIMO weight (p), or ones."""
    if mixer.rank == 1:
        return torch.ones(mixer.head_dim, dtype=torch.float64)
    return mixer.get_parameter(name)[head, rank]


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize("options", CASES, ids=lambda options: " ".join(map(str, options)))
def test_outputs_and_gradients_are_those_of_the_complex_recurrence(
    kernel: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    mixer = Mamba3(8, kernel=kernel, **options).double()  # type: ignore[arg-type]
    with torch.no_grad():  # away from the special values of the initialisation
        for parameter in mixer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        mixer.dt_bias.add_(2.0)  # steps long enough to turn and forget
    x = 2 * torch.randn(2, 11, 8, dtype=torch.float64)
    weight = torch.randn_like(x)
    found = []
    for layer in (mixer, lambda u: torch.stack([by_complex_numbers(mixer, row) for row in u])):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        mixer.zero_grad()
        torch.autograd.backward((y * weight).sum())
        grads = {name: p.grad for name, p in mixer.named_parameters()}
        found.append({"y": y.detach(), "x": leaf.grad, **grads})
    for name, mine in found[0].items():
        assert mine is not None
        torch.testing.assert_close(mine, found[1][name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ({}, [-1.3050018, -0.6122307, 0.3405730, -0.9275468]),
        (
            {"rope_fraction": 1.0, "out_norm": True, "groups": 2},
            [0.2463865, -0.0012982, 0.2822290, -0.2197096],
        ),
        ({"rank": 2}, [-0.9631211, -0.5538341, -1.0488850, -0.3860288]),
        (
            {"rank": 2, "rope_fraction": 1.0, "groups": 2},
            [-0.2597393, 0.1428126, -0.0179601, 0.2129126],
        ),
        ({"rank": 2, "out_norm": True}, [-0.1977324, -0.0878779, -0.0205025, -0.1277431]),
    ],
)
def test_the_last_output_is_that_of_the_authors_references(
    options: dict[str, Any], right: list[float]
) -> None:
    """state-spaces/mamba at e9594ce: mamba3_siso_step_ref and mamba3_MIMO_step_ref of its tests
    (MIMO with a norm: mamba3_MIMO_chunk_ref), between this layer's projections.

    They keep float32 in places.
    """
    mixer = Mamba3(4, state=8, head_dim=4, **options).double()
    with torch.no_grad():
        for j, (_, parameter) in enumerate(sorted(mixer.named_parameters())):
            i = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_(torch.sin(1 + 0.37 * i * i + 7 * j).view_as(parameter))
        x = torch.sin(1.3 * torch.arange(32, dtype=torch.float64) + 0.5).view(1, 8, 4)
        last = mixer(x)[0, -1]
    torch.testing.assert_close(last, torch.tensor(right).double(), rtol=0, atol=2e-7)
