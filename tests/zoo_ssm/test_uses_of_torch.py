"""What torch's users do with modules, done with every state space model of the room."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

import zoo
from zoo.model import state_tensors
from zoo_ssm.mamba3 import Mamba3

SSMS = ("s4", "s4d", "s5", "lru", "h3", "mamba", "mamba2", "mamba3")


def build(name: str, kernel: str) -> Any:
    torch.manual_seed(0)
    return zoo.load().mixers[name](8, kernel=kernel)


def cases() -> list[tuple[str, str]]:
    """Every mixer by every kernel that needs no GPU."""
    x, mixers = torch.empty(1), zoo.load().mixers
    return [
        (name, kernel.name)
        for name in SSMS
        for kernel in mixers[name].kernels
        if kernel.reason(x) is None
    ]


EACH = pytest.mark.parametrize(("name", "kernel"), cases())


def gradients(mixer: Any, run: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    leaf = x.clone().requires_grad_()
    y = run(leaf)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    leaves = [leaf, *mixer.parameters()]
    grads = torch.autograd.grad((y * weight).sum(), leaves, materialize_grads=True)
    return [y.detach(), *grads]


def same(mine: list[Tensor], right: list[Tensor]) -> None:
    torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-6)


@EACH
def test_checkpointing_changes_nothing(name: str, kernel: str) -> None:
    mixer, x = build(name, kernel), torch.randn(2, 21, 8)

    def again(x: Tensor) -> Tensor:
        y: Tensor = checkpoint(mixer, x, use_reentrant=False)
        return y

    same(gradients(mixer, again, x), gradients(mixer, mixer, x))


@EACH
def test_a_batch_of_none_is_a_batch(name: str, kernel: str) -> None:
    mixer = build(name, kernel)
    x = torch.randn(0, 21, 8)
    y, dx, *rest = gradients(mixer, mixer, x)
    assert y.shape == dx.shape == x.shape
    assert not any(each.any() for each in rest)


@EACH
def test_a_row_of_no_tokens_leaves_the_state_as_it_was(name: str, kernel: str) -> None:
    mixer, x = build(name, kernel), torch.randn(2, 9, 8)
    assert mixer(x[:, :0]).shape == (2, 0, 8)
    first = mixer.initial_state(2)
    for start, wanted in ((None, first), (first, first), 2 * (mixer.prefill(x)[1],)):
        y, state = mixer.prefill(x[:, :0], start)
        assert y.shape == (2, 0, 8)
        same(state_tensors(state), state_tensors(wanted))


@EACH
def test_a_state_holds_no_more_memory_than_it_needs(name: str, kernel: str) -> None:
    mixer, x = build(name, kernel), torch.randn(2, 50, 8)
    with torch.no_grad():
        _, state = mixer.prefill(x)
        _, after = mixer.step(x[:, 0], state)
    for each in (*state_tensors(state), *state_tensors(after)):
        assert each.untyped_storage().nbytes() == each.numel() * each.element_size()


@pytest.mark.parametrize("name", SSMS)
def test_copies_are_equal(name: str) -> None:
    mixer, x = build(name, "auto"), torch.randn(2, 21, 8)
    for other in (copy.deepcopy(mixer), pickle.loads(pickle.dumps(mixer))):
        same(gradients(other, other, x), gradients(mixer, mixer, x))


@pytest.mark.parametrize("name", [*SSMS, "mimo"])
def test_parameters_may_come_from_outside(name: str) -> None:
    torch.manual_seed(0)
    mixer = Mamba3(8, rank=2, state=4) if name == "mimo" else build(name, "auto")
    x = torch.randn(2, 21, 8)
    others = {key: 1.1 * value.detach() for key, value in mixer.named_parameters()}
    y = functional_call(mixer, others, (x,))
    mixer.load_state_dict(others, strict=False)
    torch.testing.assert_close(y, mixer(x))


@pytest.mark.parametrize("name", ["mamba", "mamba2", "mamba3"])
def test_the_reference_has_derivatives_of_every_kind(name: str) -> None:
    """Compiled operators have none forwards, and torch takes them for zero."""
    torch.manual_seed(0)
    options = {"out_norm": True} if name == "mamba3" else {}
    mixer = zoo.load().mixers[name](8, state=4, kernel="reference", **options).double()
    x, v, w = torch.randn(3, 2**7, 8, 8, dtype=torch.float64)  # enough for any compiled kernel
    along = torch.func.jvp(mixer, (x,), (v,))[1]
    leaf = x.clone().requires_grad_()
    (back,) = torch.autograd.grad((mixer(leaf) * w).sum(), leaf, create_graph=True)
    torch.testing.assert_close((along * w).sum(), (back * v).sum())
    (twice,) = torch.autograd.grad(back.square().sum(), leaf)
    assert twice.isfinite().all()
    assert twice.any()


@pytest.mark.parametrize(("name", "kernel"), [*cases(), *((name, "auto") for name in SSMS)])
def test_forward_derivatives_are_right_or_refused(name: str, kernel: str) -> None:
    torch.manual_seed(0)
    mixer, reference = (build(name, each).double() for each in (kernel, "reference"))
    x, v = torch.randn(2, 2, 20, 8, dtype=torch.float64)
    right = torch.func.jvp(reference, (x,), (v,))[1]
    plain = kernel == "chunked" and name in ("mamba2", "mamba3")
    if plain or kernel in ("auto", "reference"):
        torch.testing.assert_close(torch.func.jvp(mixer, (x,), (v,))[1], right)
    else:
        with pytest.raises(zoo.ZooError, match="forward-mode"):
            torch.func.jvp(mixer, (x,), (v,))


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No shapes checked: torch.compile cannot follow the checker."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "kernel"),
    [("mamba", "numba"), ("mamba", "chunked"), ("mamba2", "chunked"), ("mamba3", "numba")],
)
def test_the_whole_layer_compiles_without_a_break(name: str, kernel: str) -> None:
    mixer, x = build(name, kernel), torch.randn(2, 21, 8)
    traced: Any = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    same(gradients(mixer, traced, x), gradients(mixer, mixer, x))
