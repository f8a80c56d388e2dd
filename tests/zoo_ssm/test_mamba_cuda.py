"""The door to the CUDA kernel: what it is handed (anywhere), what it answers (on a GPU)."""

import sys
from inspect import unwrap
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from zoo_ssm import selective_scan as module
from zoo_ssm.mamba import Mamba

INTERFACE = "mamba_ssm.ops.selective_scan_interface"


def stand_in(
    u: Tensor,
    delta: Tensor,
    A: Tensor,  # noqa: N803 - its signature
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    z: Tensor,
    delta_bias: Tensor,
    delta_softplus: bool,
    return_last_state: bool,
) -> tuple[Tensor, Tensor]:
    """Refuses what the CUDA kernel would refuse; then the recurrence, with length last."""
    assert delta_softplus
    assert return_last_state
    b, d, l = u.shape  # noqa: E741
    n = A.shape[1]
    assert delta.shape == z.shape == (b, d, l)
    assert B.shape == C.shape == (b, n, l)
    for along in (u, delta, B, C, z):
        assert along.dtype == u.dtype
        assert along.stride(-1) == 1
    assert {x.dtype for x in (A, D, delta_bias)} == {torch.float32}
    dt = torch.log1p(torch.exp(delta.float() + delta_bias[:, None]))
    h = torch.zeros(b, d, n)
    y = torch.empty(b, d, l)
    for t in range(l):
        drive = (dt[..., t] * u[..., t].float())[..., None] * B[:, None, :, t].float()
        h = torch.exp(dt[..., t, None] * A) * h + drive
        y[..., t] = torch.einsum("bdn,bn->bd", h, C[..., t].float())
    y = (y + D[:, None] * u.float()) * z.float() * torch.sigmoid(z.float())
    return y.to(u.dtype), h


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_is_handed_its_layout_and_dtypes(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    interface: Any = ModuleType(INTERFACE)
    interface.selective_scan_fn = stand_in
    monkeypatch.setitem(sys.modules, INTERFACE, interface)
    torch.manual_seed(0)
    along = [torch.randn(2, 11, width, dtype=dtype) for width in (6, 6, 3, 3, 6)]
    u, dt, b, c, z = along
    rest = [-torch.rand(6, 3), torch.randn(6).to(dtype), torch.randn(6).to(dtype)]
    a, skip, bias = rest
    y, last = module.mamba_ssm(u, dt, a, b, c, skip, z, bias)
    right, right_last = module.KERNELS[-1].run(u, dt, a, b, c, skip, z, bias)
    assert y.dtype == dtype
    torch.testing.assert_close(y, right)
    torch.testing.assert_close(last, right_last)
    again, _ = module.mamba_ssm(u, dt, a, b, c, skip, z, bias, last)
    carried, _ = module.KERNELS[-1].run(u, dt, a, b, c, skip, z, bias, last)
    torch.testing.assert_close(again, carried)
    assert not torch.allclose(again, y)


def test_a_prefilled_state_has_gradients_though_the_kernels_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interface: Any = ModuleType(INTERFACE)
    interface.selective_scan_fn = lambda *args, **more: tuple(
        each.detach() if at else each for at, each in enumerate(stand_in(*args, **more))
    )
    monkeypatch.setitem(sys.modules, INTERFACE, interface)
    torch.manual_seed(0)
    mixer, x = Mamba(8), torch.randn(2, 12, 8, requires_grad=True)
    (right,) = torch.autograd.grad(mixer(x)[:, 7:].sum(), x)
    monkeypatch.setattr(mixer, "pick", lambda x: module.KERNELS[0])
    _, state = mixer.prefill(x[:, :7])
    (mine,) = torch.autograd.grad(mixer.prefill(x[:, 7:], state)[0].sum(), x)
    torch.testing.assert_close(mine, right)


def test_the_extension_is_probed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = unwrap(module.missing)
    monkeypatch.setitem(sys.modules, INTERFACE, ModuleType(INTERFACE))
    monkeypatch.setitem(sys.modules, "selective_scan_cuda", None)
    assert "pip install mamba-ssm" in str(probe())
    monkeypatch.setitem(sys.modules, "selective_scan_cuda", ModuleType("selective_scan_cuda"))
    assert probe() is None


def test_a_device_or_dtype_it_cannot_take_is_refused() -> None:
    assert "CUDA device, not cpu" in str(module.refuses(torch.zeros(1)))
    with FakeTensorMode():  # a CUDA tensor without a GPU
        assert "torch.float64" in str(
            module.refuses(torch.empty(1, device="cuda", dtype=torch.float64))
        )
        assert module.refuses(torch.empty(1, device="cuda", dtype=torch.bfloat16)) is None


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernel", ["mamba_ssm", "chunked"])
def test_on_a_gpu_it_equals_the_reference_on_the_cpu(kernel: str, dtype: torch.dtype) -> None:
    if kernel == "mamba_ssm" and module.missing():
        pytest.skip(str(module.missing()))
    torch.manual_seed(0)
    exact = Mamba(32, kernel="reference").double()
    mixer = Mamba(32, kernel=kernel)  # type: ignore[arg-type]
    mixer.load_state_dict(exact.state_dict())
    mixer.cuda()
    x = torch.randn(2, 100, 32)
    weight = torch.randn_like(x)
    right = exact(x.double())
    torch.autograd.backward((right * weight).sum())
    with torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = mixer(x.cuda())
    torch.autograd.backward((y.float() * weight.cuda()).sum())
    assert mixer.kernel_ran == kernel
    near = 1e-3 if dtype == torch.float32 else 3e-2
    pairs = [
        (y, right),
        *((p.grad, q.grad) for p, q in zip(mixer.parameters(), exact.parameters(), strict=True)),
    ]
    for mine, want in pairs:
        assert mine is not None
        assert want is not None
        gap = (mine.double().cpu() - want).norm() / want.norm()
        assert gap < near
