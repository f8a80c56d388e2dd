"""The door to the authors' SSD kernel: what it is handed (anywhere), what it answers (on a GPU)."""

import sys
from inspect import unwrap
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from zoo_ssm import mamba2_scan as module
from zoo_ssm.mamba2 import Mamba2

INTERFACE = "mamba_ssm.ops.triton.ssd_combined"


def stand_in(
    x: Tensor,
    dt: Tensor,
    A: Tensor,  # noqa: N803 - its signature
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    chunk_size: int,
    D: Tensor,  # noqa: N803
    dt_bias: Tensor,
    initial_states: Tensor | None,
    dt_softplus: bool,
    dt_limit: tuple[float, float],
    return_final_states: bool,
) -> tuple[Tensor, Tensor]:
    """Refuses what the Triton kernel would refuse; then the recurrence, with p before n."""
    assert dt_softplus
    assert return_final_states
    assert chunk_size & (chunk_size - 1) == 0
    b, l, h, p = x.shape  # noqa: E741
    n = B.shape[3]
    assert dt.shape == (b, l, h)
    assert B.shape == C.shape == (b, l, B.shape[2], n)
    assert x.dtype == dt.dtype == B.dtype == C.dtype
    assert {each.dtype for each in (A, D, dt_bias)} == {torch.float32}
    state = torch.zeros(b, h, p, n) if initial_states is None else initial_states
    assert state.shape == (b, h, p, n)
    assert state.dtype == torch.float32
    assert state.is_contiguous()
    step = torch.log1p(torch.exp(dt.float() + dt_bias)).clamp(*dt_limit)
    group = torch.arange(h) // (h // B.shape[2])
    y = torch.empty(b, l, h, p)
    for t in range(l):
        drive = step[:, t, :, None] * x[:, t].float()
        state = torch.exp(step[:, t] * A)[..., None, None] * state
        state = state + drive[..., None] * B[:, t, group, None].float()
        y[:, t] = (state * C[:, t, group, None].float()).sum(-1)
    return (y + D[:, None] * x.float()).to(x.dtype), state


@pytest.mark.parametrize("limit", [None, (0.1, 0.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_is_handed_its_layout_and_dtypes(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, limit: Any
) -> None:
    interface: Any = ModuleType(INTERFACE)
    interface.mamba_chunk_scan_combined = stand_in
    monkeypatch.setitem(sys.modules, INTERFACE, interface)
    torch.manual_seed(0)
    x, dt = torch.randn(2, 11, 4, 3, dtype=dtype), torch.randn(2, 11, 4)
    b, c = torch.randn(2, 11, 2, 5, dtype=dtype), torch.randn(2, 11, 2, 5, dtype=dtype)
    inputs = (x, dt.to(dtype), -torch.rand(4), b, c, torch.randn(4), torch.randn(4).to(dtype))
    y, last = module.mamba_ssm(*inputs, None, limit)
    right, right_last = module.KERNELS[-1].run(*inputs, None, limit)
    assert y.dtype == dtype
    torch.testing.assert_close(y, right)
    torch.testing.assert_close(last, right_last)
    again, _ = module.mamba_ssm(*inputs, last, limit)
    carried, _ = module.KERNELS[-1].run(*inputs, last, limit)
    torch.testing.assert_close(again, carried)
    assert not torch.allclose(again, y)


def test_a_device_or_dtype_it_cannot_take_is_refused() -> None:
    assert "CUDA device, not cpu" in str(module.refuses(torch.zeros(1)))
    with FakeTensorMode():  # a CUDA tensor without a GPU
        assert "torch.float64" in str(
            module.refuses(torch.empty(1, device="cuda", dtype=torch.float64))
        )
        assert module.refuses(torch.empty(1, device="cuda", dtype=torch.bfloat16)) is None


def test_what_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = unwrap(module.missing)
    monkeypatch.setitem(sys.modules, INTERFACE, None)
    assert "pip install mamba-ssm" in str(probe())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernel", ["mamba_ssm", "chunked"])
def test_on_a_gpu_it_equals_the_reference_on_the_cpu(kernel: str, dtype: torch.dtype) -> None:
    if kernel == "mamba_ssm" and module.missing():
        pytest.skip(str(module.missing()))
    torch.manual_seed(0)
    exact = Mamba2(64, head_dim=32, state=32, kernel="reference").double()
    mixer = Mamba2(64, head_dim=32, state=32, kernel=kernel)  # type: ignore[arg-type]
    mixer.load_state_dict(exact.state_dict())
    mixer.cuda()
    x = torch.randn(2, 300, 64)
    weight = torch.randn_like(x)
    right = exact(x.double())
    torch.autograd.backward((right * weight).sum())
    with torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = mixer(x.cuda())
    torch.autograd.backward((y.float() * weight.cuda()).sum())
    assert mixer.kernel_ran == kernel
    # the authors' products are TF32 where all is float32, whatever torch is told
    exactly = 1e-2 if kernel == "mamba_ssm" else 2e-3
    near = exactly if dtype == torch.float32 else 3e-2
    pairs = [
        (y, right),
        *((p.grad, q.grad) for p, q in zip(mixer.parameters(), exact.parameters(), strict=True)),
    ]
    for mine, want in pairs:
        assert mine is not None
        assert want is not None
        assert (mine.double().cpu() - want).norm() < near * want.norm()
