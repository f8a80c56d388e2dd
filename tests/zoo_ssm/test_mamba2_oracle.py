"""Mamba-2 against transformers, an independent implementation with the authors' names."""

from typing import Any

import pytest
import torch
from transformers import Mamba2Config
from transformers.cache_utils import DynamicCache
from transformers.models.mamba2 import modeling_mamba2 as theirs

from zoo_ssm.mamba2 import Mamba2
from zoo_ssm.mamba2_scan import KERNELS

PORTABLE = [pytest.param(kernel.run, id=kernel.name) for kernel in KERNELS[1:]]


def settings(groups: int = 1, chunk: int = 16, **more: Any) -> Mamba2Config:
    """Small, in their words."""
    return Mamba2Config(
        hidden_size=16,
        num_heads=4,
        head_dim=8,
        state_size=6,
        n_groups=groups,
        chunk_size=chunk,
        num_hidden_layers=1,
        **more,
    )


def pair(config: Mamba2Config) -> tuple[Any, Mamba2]:
    """Their mixer with random weights, and ours with the same."""
    torch.manual_seed(0)
    right = theirs.Mamba2Mixer(config, 0)
    with torch.no_grad():  # away from the special values of the initialisation
        for parameter in right.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    low, high = config.time_step_limit
    mine = Mamba2(16, state=6, head_dim=8, groups=config.n_groups, dt_limit=(low, high))
    mine.load_state_dict(right.state_dict(), strict=True)
    return right, mine


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize(
    ("batch", "length", "groups", "chunk"), [(2, 13, 1, 16), (1, 100, 2, 32), (2, 150, 4, 256)]
)
def test_outputs_and_gradients_equal_transformers(
    kernel: str, batch: int, length: int, groups: int, chunk: int
) -> None:
    right, mine = pair(settings(groups, chunk))
    mine.kernel = kernel
    x = torch.randn(batch, length, 16)
    weight = torch.randn_like(x)
    results = []
    for mixer in (mine, right):
        leaf = x.clone().requires_grad_()
        y = mixer(leaf)
        torch.autograd.backward((y * weight).sum())
        grads = {name: p.grad for name, p in mixer.named_parameters()}
        results.append({"y": y, "x": leaf.grad, **grads})
    assert results[0].keys() == results[1].keys()
    for name, one in results[0].items():
        other = results[1][name]
        assert one is not None
        assert other is not None
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5 * scale, msg=name)


def test_limited_steps_equal_transformers() -> None:
    right, mine = pair(settings(time_step_limit=(0.01, 0.02)))
    x = torch.randn(2, 21, 16)
    torch.testing.assert_close(mine(x), right(x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pair(settings())[1](x), mine(x), rtol=1e-3), "the limit did nothing"


@pytest.mark.parametrize("groups", [1, 2])
def test_prefill_and_decoding_equal_transformers(groups: int) -> None:
    right, mine = pair(settings(groups))
    x = torch.randn(3, 20, 16)
    cache = DynamicCache(config=settings(groups))
    with torch.no_grad():
        theirs_y = right(x[:, :11], cache_params=cache)
        y, state = mine.prefill(x[:, :11])
        torch.testing.assert_close(y, theirs_y, rtol=1e-4, atol=1e-5)
        for t in range(11, 20):
            theirs_y = right(x[:, t : t + 1], cache_params=cache)[:, 0]
            y, state = mine.step(x[:, t], state)
            torch.testing.assert_close(y, theirs_y, rtol=1e-4, atol=1e-5)
    last = cache.get_recurrent_state(0, state_idx=0)
    torch.testing.assert_close(state[1].transpose(2, 3), last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("run", PORTABLE)
@pytest.mark.parametrize("chunk", [7, 64])
def test_the_scan_equals_theirs_with_a_state(run: Any, chunk: int) -> None:
    torch.manual_seed(0)
    x, dt = torch.randn(2, 50, 4, 8), torch.randn(2, 50, 4)
    b, c, state = torch.randn(2, 50, 2, 6), torch.randn(2, 50, 2, 6), torch.randn(2, 4, 6, 8)
    a, skip, bias = -torch.rand(4), torch.randn(4), torch.randn(4)
    inputs = [tensor.requires_grad_() for tensor in (x, dt, a, b, c, skip, bias, state)]
    mine = run(*inputs)
    right_y, right_last = theirs.mamba2_chunk_scan.__wrapped__(
        x,
        dt,
        a,
        b,
        c,
        chunk_size=chunk,
        D=skip,
        dt_bias=bias,
        initial_states=state.transpose(2, 3),
        dt_softplus=True,
        return_final_states=True,
    )
    right = right_y, right_last.transpose(2, 3)
    found = []
    for y, last in (mine, right):
        weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        loss = (y * weights).sum() + last.square().sum()
        found.append([y, last, *torch.autograd.grad(loss, inputs)])
    for one, other in zip(*found, strict=True):
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)
