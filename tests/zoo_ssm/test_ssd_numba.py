"""The compiled operator as torch sees it: registered, traced, counted, the same on any threads."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_ssm import ssd_compiled, ssd_numba


def draw(batch: int, length: int, heads: int, width: int, groups: int, state: int) -> Any:
    """The seven inputs of the operator, in float32."""
    torch.manual_seed(0)
    shared = (batch, length, groups, state)
    x, scale = torch.randn(batch, length, heads, width), torch.rand(batch, length, heads)
    b, c, log_decay = torch.randn(shared), torch.randn(shared), -torch.rand(batch, length, heads)
    skip, first = torch.randn(heads), torch.randn(batch, heads, state, width)
    inputs = [x, scale, log_decay, b, c, skip, first]
    return [tensor.requires_grad_() for tensor in inputs]


def results(inputs: list[Tensor]) -> list[Tensor]:
    y, last, _ = ssd_compiled.ssd(*inputs)
    return [y, last, *torch.autograd.grad(y.sum() + last.square().sum(), inputs)]


def test_it_is_a_proper_operator() -> None:
    inputs = draw(2, 5, 4, 3, 2, 2)
    torch.library.opcheck(ssd_compiled.ssd, inputs)
    plain = [tensor.detach() for tensor in inputs]
    y, last, kept = ssd_compiled.ssd(*plain)
    backward = (*plain, kept, torch.randn_like(y), torch.randn_like(last))
    torch.library.opcheck(ssd_compiled.ssd_backward, backward)


def test_it_compiles_whole_with_its_gradients() -> None:
    inputs = draw(1, 9, 2, 4, 1, 3)

    def loss(*inputs: Tensor) -> Any:
        y, last, _ = ssd_compiled.ssd(*inputs)
        return y.sum() + last.square().sum()

    traced = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for mine, right in zip(
        torch.autograd.grad(traced(*inputs), inputs), results(inputs)[2:], strict=True
    ):
        assert torch.equal(mine, right)


def test_the_counter_sees_all_of_it() -> None:
    inputs = draw(2, 10, 4, 16, 2, 8)
    with FlopCounterMode(display=False) as counter:
        y, _, _ = ssd_compiled.ssd(*inputs)
        forward = counter.get_total_flops()
        torch.autograd.backward(y.sum())
    states = 2 * 10 * 4 * 16 * 8
    assert 5 * states < forward < 6 * states
    assert 15 * states < counter.get_total_flops() - forward < 18 * states


@pytest.mark.parametrize("width", [16, 64, 100])
def test_threads_change_nothing(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.ops.fused, "LITTLE", 0)
    inputs, threads = draw(3, 200, 4, width, 2, 40), torch.get_num_threads()
    found = []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            found.append(results(inputs))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_strided_inputs_are_read_as_they_are() -> None:
    inputs = draw(2, 7, 4, 6, 2, 3)
    strided = [
        tensor.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_()
        for tensor in inputs
    ]
    assert not all(tensor.is_contiguous() for tensor in strided)
    for mine, right in zip(results(strided), results(inputs), strict=True):
        torch.testing.assert_close(mine, right)


def test_no_output_shares_memory_with_an_input_or_another() -> None:
    inputs = draw(1, 1, 1, 16, 1, 1)
    everything = [*inputs, *ssd_compiled.ssd(*inputs)]
    assert len({tensor.untyped_storage().data_ptr() for tensor in everything}) == len(everything)


def test_it_keeps_the_inputs_and_few_states_for_the_backward_pass() -> None:
    inputs = draw(2, 1000, 2, 16, 1, 16)
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        ssd_compiled.ssd(*inputs)
    assert kept, "nothing was seen"
    states = 2 * 8 * 2 * 16 * 16  # one in 128 tokens
    assert sum(kept) == sum(map(Tensor.numel, inputs)) + states


def test_lanes_are_no_wider_than_needed() -> None:
    widths = {width: ssd_numba.lanes(width) for width in (1, 16, 17, 32, 33, 64, 65, 500)}
    assert widths == {1: 16, 16: 16, 17: 32, 32: 32, 33: 64, 64: 64, 65: 64, 500: 64}
