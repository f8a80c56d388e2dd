"""Every kernel of the gated scan against the recurrence unrolled into a sum."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.ops import GATED_SCANS, fused, gated_scan
from zoo.ops.gated_scan_chunked import chunked

KERNELS = [kernel.name for kernel in GATED_SCANS]


def draw(
    batch: int,
    length: int,
    width: int,
    dtype: torch.dtype = torch.float64,
    gated: bool = True,
    largest: float = 1.1,
) -> tuple[Tensor, Tensor, Tensor]:
    """decay, drive and state; |decay| in [0, largest]."""
    torch.manual_seed(length)
    shape = (batch, length, width) if gated else (width,)
    decay = largest * torch.rand(shape, dtype=torch.float64)
    if dtype.is_complex:
        decay = torch.polar(decay, 2 * math.pi * torch.rand_like(decay))
    drive, state = torch.randn(batch, length, width, dtype=dtype), torch.randn(batch, width)
    decay, state = decay.to(dtype), state.to(dtype)
    return decay.requires_grad_(), drive.requires_grad_(), state.requires_grad_()


def unrolled(decay: Tensor, drive: Tensor, state: Tensor, reverse: bool = False) -> Any:
    """h_t = sum_{r <= t} (prod_{r < s <= t} a_s) x_r, and the state as an x before the first."""
    if reverse:
        decay = decay.flip(1) if decay.ndim == 3 else decay
        h, last = unrolled(decay, drive.flip(1), state)
        return h.flip(1), last
    a, x = decay.expand_as(drive), torch.cat([state[:, None], drive], dim=1)
    h = []
    for t in range(drive.shape[1]):
        weights = torch.cat(
            [a[:, : t + 1].flip(1).cumprod(1).flip(1), torch.ones_like(a[:, :1])], 1
        )
        h.append((weights * x[:, : t + 2]).sum(1))
    return torch.stack(h, dim=1), h[-1]


def gradients(outputs: tuple[Tensor, Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """The outputs, and what a fixed random loss on both gives to each input."""
    torch.manual_seed(1)
    double = torch.complex128 if outputs[0].is_complex() else torch.float64
    weights = [torch.randn(y.shape, dtype=double).to(y.dtype) for y in outputs]
    return [*outputs, *torch.autograd.grad(outputs, tensors, weights)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "constant"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 13, 5), (2, 33, 67), (3, 70, 3)], ids=str)
def test_outputs_and_gradients_are_those_of_the_unrolled_sum(
    kernel: str, gated: bool, dtype: torch.dtype, reverse: bool, shape: tuple[int, int, int]
) -> None:
    tensors = draw(*shape, dtype, gated)
    got = gated_scan(*tensors, reverse=reverse, kernel=kernel)
    mine, right = gradients(got, tensors), gradients(unrolled(*tensors, reverse), tensors)
    torch.testing.assert_close(mine, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [2, 3, 4, 7, 8, 9, 15, 16, 17, 27, 31])
@pytest.mark.parametrize("reverse", [False, True])
def test_chunks_of_chunks_at_every_edge(length: int, reverse: bool) -> None:
    """Chunks of two tokens nest as deep as the length allows."""
    tensors = draw(2, length, 3)
    right = gradients(unrolled(*tensors, reverse), tensors)
    for chunk in (2, 3):
        h, last = chunked(*tensors, reverse, chunk)
        torch.testing.assert_close(gradients((h, last), tensors), right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "constant"])
def test_gradcheck(kernel: str, dtype: torch.dtype, gated: bool) -> None:
    tensors = draw(2, 5, 2, dtype, gated)
    assert gradcheck(lambda *x: gated_scan(*x, kernel=kernel), tensors)


def test_second_derivatives_are_given_by_reference_and_refused_by_the_others() -> None:
    tensors = draw(1, 3, 1)
    assert gradgradcheck(lambda *x: gated_scan(*x, kernel="reference"), tensors)
    for kernel in ("numba", "chunked"):
        h, _ = gated_scan(*tensors, kernel=kernel)
        (grad,) = torch.autograd.grad(h.square().sum(), tensors[0], create_graph=True)
        with pytest.raises(RuntimeError, match=r"once_differentiable|autograd"):
            torch.autograd.backward(grad.sum())


@pytest.mark.parametrize("kernel", ["auto", *KERNELS])
def test_forward_mode_is_right_or_refused(kernel: str) -> None:
    """Torch's custom operators would give a tangent of zero, without a word."""
    decay, drive, _ = (x.detach() for x in draw(1, 4, 2))

    def tangent() -> Tensor:
        both = torch.func.jvp(lambda x: gated_scan(decay, x, kernel=kernel)[0], (drive,), (drive,))
        along: Tensor = both[1]
        return along

    if kernel in ("auto", "reference"):
        torch.testing.assert_close(tangent(), gated_scan(decay, drive)[0])  # it is linear
    else:
        with pytest.raises(zoo.ZooError, match=r"cannot run here: .* forward-mode"):
            tangent()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5, -1.0, 1e-30, 1e-45])
def test_special_decays_have_their_closed_form(kernel: str, decay: float) -> None:
    """sum_{r <= t} a^(t-r), by the geometric series; and a quotient of powers would be 0 / 0."""
    a = torch.full((1, 40, 3), decay, requires_grad=True)
    h, last = gated_scan(a, torch.ones(1, 40, 3), kernel=kernel)
    t = torch.arange(1, 41, dtype=torch.float64)
    exact = t if decay == 1 else (1 - torch.tensor(decay).double() ** t) / (1 - decay)
    torch.testing.assert_close(h[0, :, 1].double(), exact, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last, h[:, -1])
    (grad,) = torch.autograd.grad(h.sum(), a)
    assert grad.isfinite().all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_infinity_and_nan_stay_where_the_recurrence_has_them(kernel: str) -> None:
    decay, drive = torch.full((1, 40, 2), 0.5), torch.ones(1, 40, 2)
    drive[0, 20, 0] = math.nan
    h, _ = gated_scan(decay, drive, kernel=kernel)
    assert h[0, :20].isfinite().all()
    assert h[0, 20:, 0].isnan().all()
    assert h[0, :, 1].isfinite().all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("reverse", [False, True])
def test_two_parts_with_the_state_between_are_one_pass(kernel: str, reverse: bool) -> None:
    decay, drive, state = draw(2, 50, 5)
    whole, end = gated_scan(decay, drive, state, reverse=reverse, kernel=kernel)
    order = (slice(19, None), slice(0, 19)) if reverse else (slice(0, 19), slice(19, None))
    parts = []
    for part in order:
        h, state = gated_scan(decay[:, part], drive[:, part], state, reverse=reverse, kernel=kernel)
        parts.append(h)
    torch.testing.assert_close(torch.cat(parts[::-1] if reverse else parts, 1), whole)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("kernel", KERNELS)
def test_single_precision_stays_close_over_many_tokens(kernel: str) -> None:
    tensors = draw(2, 1000, 9, torch.complex64, gated=False, largest=0.999)
    exact = [x.detach().to(torch.complex128).requires_grad_() for x in tensors]
    mine = gradients(gated_scan(*tensors, kernel=kernel), tensors)
    right = gradients(gated_scan(*exact, kernel="reference"), exact)
    for one, other in zip(mine, right, strict=True):
        assert one.dtype == torch.complex64
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one.to(other.dtype), other, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("kernel", KERNELS)
def test_bfloat16_is_rounded_only_at_the_edges(kernel: str) -> None:
    rounded = [x.detach().bfloat16() for x in draw(2, 40, 5)]
    narrow = [x.clone().requires_grad_() for x in rounded]
    wide = [x.float().requires_grad_() for x in rounded]
    (h, last), (right, right_last) = (gated_scan(*x, kernel=kernel) for x in (narrow, wide))
    assert h.dtype == torch.bfloat16
    assert torch.equal(h, right.bfloat16())
    assert torch.equal(last, right_last), "the state was rounded"
    weight = torch.randn_like(h)
    mine = torch.autograd.grad(h, narrow, weight)
    exact = torch.autograd.grad(right, wide, weight.float())
    assert all(torch.equal(x, y.bfloat16()) for x, y in zip(mine, exact, strict=True))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_complex_decay_makes_real_inputs_complex(kernel: str) -> None:
    decay, drive = torch.tensor([0.5j]), torch.ones(1, 3, 1)
    h, last = gated_scan(decay, drive, kernel=kernel)
    torch.testing.assert_close(h.flatten(), torch.tensor([1, 1 + 0.5j, 0.75 + 0.5j]))
    assert last.dtype == torch.complex64


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("reverse", [False, True])
def test_views_lazy_conjugates_and_strides_are_read_as_what_they_are(
    kernel: str, reverse: bool
) -> None:
    decay, drive, state = (x.detach() for x in draw(2, 34, 6, torch.complex128))
    right = gated_scan(decay.conj(), drive, state.conj(), reverse=reverse, kernel="reference")
    views = [x.mT.contiguous().mT for x in (decay, drive)]
    mine = gated_scan(views[0].conj(), views[1], state.conj(), reverse=reverse, kernel=kernel)
    torch.testing.assert_close(mine, right)
    leaf = drive.clone().requires_grad_()
    h, _ = gated_scan(decay, leaf, kernel=kernel)
    grad = torch.randn_like(h)
    for form in (grad.conj(), grad.mT.contiguous().mT, grad[:, :, :1].expand_as(grad)):
        (got,) = torch.autograd.grad(h, leaf, form, retain_graph=True)
        plain = form.resolve_conj().contiguous()
        torch.testing.assert_close(got, torch.autograd.grad(h, leaf, plain, retain_graph=True)[0])


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_last_state_is_memory_of_its_own(kernel: str) -> None:
    decay, drive, state = (x.detach() for x in draw(1, 20, 3))
    kept = [x.clone() for x in (decay, drive, state)]
    h, last = gated_scan(decay, drive, state, kernel=kernel)
    assert last.untyped_storage().nbytes() == 3 * 8
    h.zero_(), last.zero_()
    assert all(torch.equal(x, y) for x, y in zip((decay, drive, state), kept, strict=True))


@pytest.mark.skipif(fused.missing() is not None, reason="needs numba")
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "constant"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=["real", "complex"])
def test_threads_do_not_change_a_bit(
    gated: bool, batch: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "LITTLE", 0)
    tensors = draw(batch, 50, 333, dtype, gated)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(gradients(gated_scan(*tensors, kernel="numba"), tensors))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(x, y) for x, y in zip(found[0], other, strict=True))


@pytest.mark.skipif(fused.missing() is not None, reason="needs numba")
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "constant"])
def test_the_operators_keep_torchs_rules(gated: bool) -> None:
    tensors = draw(2, 5, 3, torch.complex128, gated)
    assert set(opcheck(torch.ops.zoo.gated_scan, (*tensors, False)).values()) == {"SUCCESS"}
    decay, h, state = (x.detach() for x in tensors)
    arguments = (decay, h, state, torch.randn_like(h), torch.randn_like(state), True)
    assert set(opcheck(torch.ops.zoo.gated_scan_backward, arguments).values()) == {"SUCCESS"}


@pytest.mark.parametrize("kernel", ["auto", "chunked"])
def test_it_compiles_whole(kernel: str) -> None:
    torch.compiler.reset()
    tensors = draw(2, 33, 3)
    fast = torch.compile(
        lambda *x: gated_scan(*x, kernel=kernel), fullgraph=True, backend="aot_eager"
    )
    right = gradients(gated_scan(*tensors, kernel="reference"), tensors)
    torch.testing.assert_close(gradients(fast(*tensors), tensors), right)


@pytest.mark.skipif(fused.missing() is not None, reason="needs numba")
@pytest.mark.parametrize(("dtype", "each"), [(torch.float32, 2), (torch.complex64, 8)])
def test_the_counter_sees_a_multiply_add_forward_and_two_backward(
    dtype: torch.dtype, each: int
) -> None:
    tensors = draw(2, 10, 3, dtype)
    with FlopCounterMode(display=False) as counter:
        h, _ = gated_scan(*tensors, kernel="numba")
    assert counter.get_total_flops() == each * h.numel()
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(h, tensors, torch.ones_like(h))
    assert counter.get_total_flops() == 2 * each * h.numel()


def test_shapes_without_numbers_on_meta_go_the_portable_way() -> None:
    h, last = gated_scan(torch.empty(5, device="meta"), torch.empty(2, 40, 5, device="meta"))
    assert (h.shape, last.shape) == ((2, 40, 5), (2, 5))
    with pytest.raises(zoo.ZooError, match="numba cannot run here"):
        gated_scan(
            torch.empty(5, device="meta"), torch.empty(2, 4, 5, device="meta"), kernel="numba"
        )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 5, 0)], ids=str)
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "constant"])
def test_nothing_to_scan_gives_the_state_back(
    kernel: str, shape: tuple[int, int, int], gated: bool
) -> None:
    tensors = draw(*shape, gated=gated)
    h, last = gated_scan(*tensors, kernel=kernel)
    assert h.shape == shape
    if shape[1] == 0:
        assert torch.equal(last, tensors[2])
        assert last.data_ptr() != tensors[2].data_ptr()
    grads = torch.autograd.grad(h.sum() + last.sum(), tensors[1:])
    assert [grad.shape for grad in grads] == [x.shape for x in tensors[1:]]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("decay", "drive", "state"),
    [
        ((1, 5, 3), (2, 5, 3), (2, 3)),
        ((2, 1, 3), (2, 5, 3), (2, 3)),
        ((2, 5, 1), (2, 5, 3), (2, 3)),
        ((1,), (2, 5, 3), (2, 3)),
        ((3,), (2, 5, 3), (1, 3)),
        ((3,), (2, 5, 3), (2, 1)),
        ((3,), (5, 3), (5, 3)),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(
    kernel: str, decay: Any, drive: Any, state: Any
) -> None:
    """A compiled kernel would read memory that is not its own."""
    with pytest.raises(zoo.ZooError, match=r"wants decay \(b, l, d\) or \(d,\).*not \("):
        gated_scan(torch.ones(decay), torch.ones(drive), torch.ones(state), kernel=kernel)
