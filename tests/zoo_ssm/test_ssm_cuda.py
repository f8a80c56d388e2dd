"""On a GPU every mixer of the room, by every kernel there, is the reference on the CPU."""

from collections.abc import Iterator

import pytest
import torch

import zoo

SSMS = ("s4", "s4d", "s5", "lru", "h3", "mamba", "mamba2", "mamba3")


def cases() -> Iterator[tuple[str, str]]:
    for name in SSMS:
        for kernel in zoo.load().mixers[name].kernels:
            if kernel.name != "numba":
                yield name, kernel.name


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "kernel"), list(cases()))
def test_outputs_and_gradients(name: str, kernel: str, dtype: torch.dtype) -> None:
    cls = zoo.load().mixers[name]
    probe = torch.empty(1, device="cuda")
    reason = next(k for k in cls.kernels if k.name == kernel).reason(probe)
    if reason is not None:
        pytest.skip(reason)
    torch.manual_seed(0)
    exact = cls(32, kernel="reference").double()
    mixer = cls(32, kernel=kernel)
    mixer.load_state_dict(exact.state_dict())
    mixer.cuda()
    x, weight = torch.randn(2, 101, 32), torch.randn(2, 101, 32)
    found = []
    for one, rows in ((exact, x.double()), (mixer, x.cuda())):
        leaf = rows.clone().requires_grad_()
        lower = dtype == torch.bfloat16 and one is mixer
        with torch.autocast("cuda", torch.bfloat16, enabled=lower):
            y = one(leaf)
        torch.autograd.backward((y.to(rows.dtype) * weight.to(rows)).sum())
        found.append([y, leaf.grad, *(p.grad for p in one.parameters())])
    assert mixer.kernel_ran == kernel
    # products of Mamba-2's authors are TF32 where all is float32, whatever torch is told
    exactly = 1e-2 if (name, kernel) == ("mamba2", "mamba_ssm") else 2e-3
    near = exactly if dtype == torch.float32 else 6e-2
    for mine, right in zip(*reversed(found), strict=True):
        assert mine is not None
        assert right is not None
        gap = (mine.double().cpu() - right).norm()
        assert gap <= near * right.norm()


@pytest.mark.gpu
@pytest.mark.parametrize("name", SSMS)
def test_decoding_goes_on_from_a_prefill(name: str) -> None:
    torch.manual_seed(0)
    mixer = zoo.load().mixers[name](32).cuda().eval()
    x = torch.randn(2, 90, 32, device="cuda")
    with torch.no_grad():
        whole = mixer(x)
        first, state = mixer.prefill(x[:, :70])
        rest = []
        for t in range(70, 90):
            y, state = mixer.step(x[:, t], state)
            rest.append(y)
    parts = torch.cat([first, torch.stack(rest, 1)], 1)
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)
