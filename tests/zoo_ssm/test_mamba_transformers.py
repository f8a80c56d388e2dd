"""Mamba against transformers' mixers of Mamba and FalconMamba, weights loaded unchanged."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import FalconMambaConfig, MambaConfig
from transformers.cache_utils import DynamicCache
from transformers.models.falcon_mamba.modeling_falcon_mamba import FalconMambaMixer
from transformers.models.mamba.modeling_mamba import MambaMixer

from zoo_ssm.mamba import Mamba

SIZES: dict[str, Any] = {"hidden_size": 24, "state_size": 5, "num_hidden_layers": 1}
MODELS = pytest.mark.parametrize("model", ["mamba", "falcon_mamba"])


class FalconProjection(nn.Linear):
    """What FalconMamba has where Mamba has ``x_proj``: steps, B and C leave it normed."""

    def forward(self, input: Tensor) -> Tensor:
        parts = torch.split(super().forward(input), [2, 5, 5], dim=-1)
        return torch.cat([F.rms_norm(part, part.shape[-1:], eps=1e-6) for part in parts], -1)


def pair(model: str) -> tuple[Any, Mamba, Any]:
    """Their mixer with random weights, ours with the same, and their configuration."""
    torch.manual_seed(0)
    config: Any
    theirs: Any
    if model == "mamba":
        config = MambaConfig(**SIZES)
        theirs = MambaMixer(config, 0)
    else:
        config = FalconMambaConfig(**SIZES)
        # initialised by itself it looks for norms that it has not yet made
        theirs = FalconMambaMixer(config, 0, initialize_mixer_weights=False)
        theirs.init_falcon_mamba_weights()
    with torch.no_grad():  # away from the special values of the initialisation
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = Mamba(24, state=5)
    if model == "falcon_mamba":
        ours.x_proj = FalconProjection(48, 12, bias=False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours, config


@MODELS
@pytest.mark.parametrize("kernel", ["numba", "chunked", "reference"])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 19), (1, 70)])
def test_outputs_and_gradients_are_theirs(model: str, kernel: str, batch: int, length: int) -> None:
    theirs, ours, _ = pair(model)
    ours.kernel = kernel
    x = torch.randn(batch, length, 24)
    weight = torch.randn_like(x)
    found = []
    for mixer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = mixer(leaf)
        names, parameters = zip(*mixer.named_parameters(), strict=True)
        grads = torch.autograd.grad((y * weight).sum(), [leaf, *parameters])
        found.append(dict(zip(("y", "x", *names), (y, *grads), strict=True)))
    mine, right = found
    assert mine.keys() == right.keys()
    for name, one in mine.items():
        scale = float(right[name].detach().abs().max())
        torch.testing.assert_close(one, right[name], rtol=1e-4, atol=2e-5 * scale, msg=name)


@MODELS
@pytest.mark.parametrize("kernel", ["numba", "chunked"])
def test_prefill_and_decoding_are_theirs(model: str, kernel: str) -> None:
    theirs, ours, config = pair(model)
    ours.kernel = kernel
    x, cache = torch.randn(3, 20, 24), DynamicCache(config=config)
    with torch.no_grad():
        wanted = theirs(x[:, :11], cache_params=cache)
        y, state = ours.prefill(x[:, :11])
        torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-5)
        for t in range(11, 20):
            wanted = theirs(x[:, t : t + 1], cache_params=cache)[:, 0]
            y, state = ours.step(x[:, t], state)
            torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-5)
    last = cache.get_recurrent_state(0, state_idx=0)
    torch.testing.assert_close(state[1], last, rtol=1e-4, atol=1e-5)
