"""Mamba against mambapy, an independent implementation with the official parameter names."""

import pytest
import torch
from mambapy.mamba import MambaBlock, MambaConfig

from zoo_ssm.mamba import Mamba


@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize("pscan", [True, False], ids=["pscan", "sequential"])
@pytest.mark.parametrize(
    ("batch", "length", "dim", "state", "conv", "expand"),
    [(2, 13, 16, 16, 4, 2), (1, 100, 24, 5, 3, 1), (2, 64, 20, 8, 2, 3)],
)
def test_outputs_and_gradients_equal_mambapy(
    kernel: str, pscan: bool, batch: int, length: int, dim: int, state: int, conv: int, expand: int
) -> None:
    torch.manual_seed(length)
    config = MambaConfig(
        d_model=dim, n_layers=1, d_state=state, d_conv=conv, expand_factor=expand, pscan=pscan
    )
    theirs = MambaBlock(config)
    with torch.no_grad():  # away from the special values of the initialisation
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = Mamba(dim, state=state, conv=conv, expand=expand, kernel=kernel)  # type: ignore[arg-type]
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(batch, length, dim)
    weight = torch.randn_like(x)
    results = []
    for mixer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = mixer(leaf)
        torch.autograd.backward((y * weight).sum())
        grads = {name: p.grad for name, p in mixer.named_parameters()}
        results.append({"y": y, "x": leaf.grad, **grads})
    assert results[0].keys() == results[1].keys()
    for name, mine in results[0].items():
        right = results[1][name]
        assert mine is not None
        assert right is not None
        scale = float(right.detach().abs().max())
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=2e-5 * scale, msg=name)


def test_decoding_equals_mambapy() -> None:
    torch.manual_seed(0)
    theirs = MambaBlock(MambaConfig(d_model=16, n_layers=1))
    ours = Mamba(16)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 10, 16)
    state, cache = ours.initial_state(3), (None, torch.zeros(3, 32, 3))
    for t in range(10):
        mine, state = ours.step(x[:, t], state)
        right, cache = theirs.step(x[:, t], cache)
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(state[1], cache[0], rtol=1e-4, atol=1e-6)
