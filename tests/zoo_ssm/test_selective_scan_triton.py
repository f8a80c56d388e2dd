"""Our Triton kernel: interpreted without a GPU, compiled without a GPU, and on one."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from zoo_ssm.selective_scan import selective_scan as portable
from zoo_ssm.selective_scan_reference import reference
from zoo_ssm.selective_scan_triton import TRITON, missing, scan, scan_backward, selective_scan

here = importlib.util.find_spec("triton") is not None
major, minor = version("triton").split(".")[:2] if here else ("0", "0")
needs_triton = pytest.mark.skipif(not here, reason="triton is not installed; CUDA torch brings it")
needs_interpreter = pytest.mark.skipif(
    (int(major), int(minor)) < (3, 7), reason="needs triton 3.7: before, its interpreter fails"
)
SIZES = [(2, 19, 5, 3), (1, 1, 3, 1), (1, 16, 4, 6), (1, 35, 9, 4)]
NAMES = ["y", "last", "u", "dt", "a", "b", "c", "skip", "z", "dt_bias", "state"]


def inputs(batch: int, length: int, channels: int, states: int) -> list[Tensor]:
    """As the mixer hands them over: b and c side by side in memory, u with its length last."""
    torch.manual_seed(length)
    u = torch.randn(batch, channels, length).transpose(1, 2)
    dt, z = 3 * torch.randn(batch, length, channels), torch.randn(batch, length, channels)
    b, c = torch.randn(batch, length, 2 * states).chunk(2, dim=-1)
    a = -4 * torch.rand(channels, states)
    skip, bias, state = torch.randn(channels), torch.randn(channels), torch.randn(channels, states)
    return [u, dt, a, b, c, skip, z, bias, state.expand(batch, -1, -1)]


def evaluated(
    run: Any, tensors: list[Tensor], dtype: torch.dtype, low: torch.dtype
) -> list[Tensor]:
    """y, the last state, and the gradient of everything; ``low`` is what has a length."""
    leaves = []
    for index, tensor in enumerate(tensors):
        kind = low if index in (0, 1, 3, 4, 6) else dtype
        leaves.append(tensor.detach().to(kind).requires_grad_())
    y, last = run(*leaves)
    torch.manual_seed(1)
    weights = [torch.randn(part.shape).to(part) for part in (y, last)]
    torch.autograd.backward((y * weights[0]).sum() + (last * weights[1]).sum())
    return [y, last, *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def gaps(tensors: list[Tensor], low: torch.dtype) -> dict[str, float]:
    """Worst difference from the float64 reference, as a share of the largest number."""
    rounded = [t.to(low) if index in (0, 1, 3, 4, 6) else t for index, t in enumerate(tensors)]
    mine = evaluated(selective_scan, rounded, torch.float32, low)
    right = evaluated(
        partial(portable, reference), [t.cpu() for t in rounded], torch.float64, torch.float64
    )
    assert len(mine) == len(right) == len(NAMES)
    found = {}
    for name, one, other in zip(NAMES, mine, right, strict=True):
        assert one.shape == other.shape
        found[name] = float((one.cpu().double() - other).abs().max() / other.abs().max())
    return found


def subprocess_says(what: str, **environment: str) -> Any:
    """This file as a program: triton reads its environment once, when imported."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run([sys.executable, __file__, what], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_interpreter
def test_interpreted_kernels_equal_the_reference_in_outputs_and_all_gradients() -> None:
    found = subprocess_says("interpret", TRITON_INTERPRET="1")
    assert len(found) == len(SIZES)
    for size, shares in zip(SIZES, found, strict=True):
        assert shares.keys() == set(NAMES)
        assert max(shares.values()) < 1e-6, (size, shares)


@needs_interpreter
def test_interpreted_operators_keep_torchs_rules() -> None:
    assert subprocess_says("opcheck", TRITON_INTERPRET="1") == {"SUCCESS": 12}


@needs_triton
def test_kernels_compile_for_a_gpu_that_is_not_here() -> None:
    found = subprocess_says("compile")
    assert found.keys() == {"forward", "backward"}
    assert min(found.values()) > 1000  # bytes of machine code


def test_shapes_and_gradients_are_known_without_running() -> None:
    with FakeTensorMode():
        u, dt, a, b, c, skip, z, bias, _ = inputs(2, 35, 6, 5)
        y, last = selective_scan(u.bfloat16().requires_grad_(), dt, a, b, c, skip, z, bias)
        assert (y.shape, y.dtype) == ((2, 35, 6), torch.bfloat16)
        assert (last.shape, last.dtype) == ((2, 6, 5), torch.float32)
        kept = scan(u, dt, a.t(), b, c, skip, z, bias, last.transpose(1, 2), True)[2]
        assert kept.shape == (2, 3, 5, 6)
        grads = scan_backward(u, dt, a.t(), b, c, skip, z, bias, kept, y, last)
        wanted = [u, dt, a.t(), b, c, skip, z, bias, last]
        assert [grad.shape for grad in grads] == [tensor.shape for tensor in wanted]


def test_a_large_state_goes_the_portable_way() -> None:
    tensors = inputs(1, 7, 4, 33)
    right, last = portable(reference, *tensors)
    mine = selective_scan(*tensors)
    torch.testing.assert_close(mine, (right, last))


def test_what_it_cannot_take_is_refused() -> None:
    assert TRITON.reason(torch.randn(1)) is not None
    assert "needs a CUDA device" in str(TRITON.refuses(torch.randn(1)))
    with FakeTensorMode():
        on_gpu = torch.empty(1, device="cuda")
        assert TRITON.refuses(on_gpu) is None
        assert TRITON.refuses(on_gpu.bfloat16()) is None
        assert "not torch.float64" in str(TRITON.refuses(on_gpu.double()))


@pytest.mark.skipif(here, reason="triton is installed")
def test_without_triton_it_says_where_it_comes_from() -> None:
    assert "comes with a CUDA build of torch" in str(missing())


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(2, 1000, 96, 16), (1, 33, 20, 5), (3, 64, 32, 32), (1, 1, 8, 1)])
@pytest.mark.parametrize("low", [torch.float32, torch.bfloat16])
def test_on_a_gpu_it_equals_the_reference(
    size: tuple[int, int, int, int], low: torch.dtype
) -> None:
    shares = gaps([tensor.cuda() for tensor in inputs(*size)], low)
    assert max(shares.values()) < (1e-4 if low == torch.float32 else 2e-2), shares


def compiled() -> dict[str, int]:
    """Bytes of machine code for an H100, at the sizes that the operators choose for 16 numbers."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from zoo_ssm import selective_scan_triton_kernels as kernels

    found = {}
    for kernel, block, warps in ((kernels.forward, 8, 1), (kernels.backward, 16, 8)):
        names = [parameter.name for parameter in kernel.params]
        sizes = {"T": 16, "N": 16, "D": block, "KEEP": True}
        integers = {"length", "channels", "states"}
        types = {
            name: "constexpr"
            if name in sizes
            else "i32"
            if name in integers or name.endswith(("_b", "_l"))
            else "*fp32"
            for name in names
        }
        fixed = {(names.index(name),): size for name, size in sizes.items() if name in names}
        code = triton.compile(
            ASTSource(kernel, types, constexprs=fixed),
            target=GPUTarget("cuda", 90, 32),
            options={"num_warps": warps},
        )
        found[kernel.fn.__name__] = len(code.asm["cubin"])
    return found


def checked() -> dict[str, int]:
    """torch.library.opcheck on both operators; how many of its tests said what."""
    u, dt, a, b, c, skip, z, bias, state = inputs(1, 5, 4, 2)
    forward = (u.contiguous(), dt, a.t().contiguous(), b, c, skip, z, bias)
    first = state.transpose(1, 2).contiguous()
    y, last, kept = scan(*forward, first, True)
    said: list[str] = []
    leaves = [tensor.detach().requires_grad_() for tensor in (*forward, first)]
    said += torch.library.opcheck(scan, (*leaves, True)).values()
    said += torch.library.opcheck(scan, (*forward, first, False)).values()
    said += torch.library.opcheck(scan_backward, (*forward, kept, y, last)).values()
    return {word: said.count(word) for word in set(said)}


if __name__ == "__main__":
    answers = {
        "interpret": lambda: [gaps(inputs(*size), torch.float32) for size in SIZES],
        "opcheck": checked,
        "compile": compiled,
    }
    sys.stdout.write(json.dumps(answers[sys.argv[1]]()) + "\n")
