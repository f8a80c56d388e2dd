"""Fused kernels of attention get what they document, and it means what the equation says.

None of them runs without a GPU. So each is played by something that does what its documentation
says: flash_attn by a function written here from it, xformers by its own masks made dense, flex by
torch's explicit form of it. Those marked gpu run the real ones.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.ops import (
    FLASH_ATTN,
    FLEX,
    REFERENCE,
    SDPA,
    XFORMERS,
    AttentionBias,
    Band,
    attention,
    attention_flex,
    attention_masked,
)
from zoo.ops.attention_flex import banded, compiled

HEADS = 4


class Slopes(zoo.RelativePosition):
    """-slope |distance|, as ALiBi has it."""

    slopes: Tensor | None = 2.0 ** -torch.arange(1.0, HEADS + 1)

    def bias(self, distance: Tensor) -> Tensor:
        assert self.slopes is not None
        return torch.einsum("h,...->h...", -self.slopes.to(distance.device), distance.abs())


class Table(zoo.RelativePosition):
    """A learned number for each distance up to 20, both ways."""

    def __init__(self, heads: int = HEADS) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.table = nn.Parameter(torch.randn(heads, 41))

    def bias(self, distance: Tensor) -> Tensor:
        return self.table[:, distance.clamp(-20, 20) + 20]


class Pairwise(zoo.ScorePosition):
    """Not by the distance alone."""

    def forward(self, q: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        return (query_at[:, None] * key_at / 100).sin().expand(1, q.shape[1], -1, -1)


class Asking(zoo.ScorePosition):
    """The query decides too, so that each row has a mask of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.table = nn.Parameter(torch.randn(40, 8))

    def forward(self, q: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        return torch.einsum("bhqe,ke->bhqk", q, self.table.to(q.dtype)[key_at])


class Context(zoo.ContextPosition):
    """Of the scores."""

    def forward(self, q: Tensor, scores: Tensor) -> Tensor:
        return scores.sigmoid().cumsum(-1)


@dataclass
class Case:
    """One question to a kernel."""

    causal: bool
    queries: int = 13
    keys: int = 13
    kv_heads: int = HEADS
    window: int | None = None
    lengths: tuple[int, ...] | None = None
    position: zoo.ScorePosition | None = None
    sinks: bool = False
    width: int = 8
    value_width: int = 8

    def __str__(self) -> str:
        parts = ["causal" if self.causal else "bidirectional", f"{self.queries}of{self.keys}"]
        parts += [f"w{self.window}"] if self.window else []
        parts += [f"kv{self.kv_heads}"] if self.kv_heads != HEADS else []
        parts += [type(self.position).__name__.lower()] if self.position else []
        parts += [n for n in ("lengths", "sinks") if getattr(self, n)]
        parts += [f"values{self.value_width}"] if self.value_width != self.width else []
        return "-".join(parts)

    def ask(self, **to: Any) -> tuple[Tensor, Tensor, Tensor, AttentionBias]:
        torch.manual_seed(0)  # the same numbers whatever the type
        q = torch.randn(2, HEADS, self.queries, self.width, dtype=torch.float64)
        k = torch.randn(2, self.kv_heads, self.keys, self.width, dtype=torch.float64)
        v = torch.randn(2, self.kv_heads, self.keys, self.value_width, dtype=torch.float64)
        q, k, v = (z.to(**{"dtype": torch.float32, **to}).requires_grad_() for z in (q, k, v))
        return q, k, v, self.bias(to.get("device", "cpu"))

    def bias(self, device: str = "cpu") -> AttentionBias:
        sinks = torch.linspace(-1, 2, HEADS, device=device) if self.sinks else None
        return AttentionBias(
            self.causal,
            Band.of(self.window, self.causal) if self.window else None,
            torch.tensor(self.lengths) if self.lengths else None,
            self.position.to(device) if self.position else None,
            None if sinks is None else sinks.requires_grad_(),
            start=self.keys - self.queries,
        )


BOTH = (True, False)
PLAIN = [Case(causal, n, n) for causal in BOTH for n in (1, 13, 131)]
GROUPED = [Case(causal, kv_heads=g) for causal in BOTH for g in (1, 2)]
LATER = [Case(True, 1, 9), Case(True, 5, 40), Case(True, 5, 40, kv_heads=2)]
WINDOWS = [Case(causal, 29, 29, window=w) for causal in BOTH for w in (1, 2, 7, 8, 29, 90)]
WINDOWS += [Case(True, 3, 29, window=w) for w in (1, 2, 40)]
WINDOWS += [Case(causal, 150, 300, window=140, kv_heads=2) for causal in (True,)]
SLOPED = [
    Case(True, 37, 37, position=Slopes()),
    Case(False, 37, 37, position=Slopes()),
    Case(True, 3, 37, position=Slopes()),
    Case(True, 37, 37, window=5, position=Slopes()),
    Case(False, 37, 37, window=6, position=Slopes()),
]
TABLED = [Case(causal, 37, 37, position=Table()) for causal in BOTH]
TABLED += [Case(True, 4, 37, position=Table()), Case(False, 37, 37, window=6, position=Table())]
PADDED = [Case(causal, lengths=(13, 4)) for causal in BOTH]
PADDED += [Case(False, 300, 300, lengths=(300, 100)), Case(True, 300, 300, lengths=(300, 100))]
SINKS = [Case(causal, sinks=True) for causal in BOTH]
SINKS += [Case(True, 1, 9, sinks=True), Case(True, 5, 9, sinks=True, kv_heads=2)]
SINKS += [Case(False, lengths=(13, 4), sinks=True), Case(True, position=Table(), sinks=True)]
SINKS += [Case(causal, 300, 300, lengths=(300, 9), sinks=True) for causal in BOTH]
SINKS += [Case(True, window=4, sinks=True)]
UNEVEN = [Case(causal, value_width=f) for causal in BOTH for f in (5, 16)]


def reals(case: Case, y: Tensor) -> Tensor:
    """Without what stands in the padding."""
    if case.lengths is None:
        return y
    real = torch.arange(case.queries) < torch.tensor(case.lengths)[:, None]
    return y.transpose(1, 2)[real.to(y.device)]


def gradients(case: Case, kernel: zoo.Kernel, **to: Any) -> list[Tensor]:
    """Output, and gradients of q, k, v, the sinks and the position."""
    q, k, v, bias = case.ask(**to)
    leaves = [q, k, v, *([] if bias.sinks is None else [bias.sinks])]
    leaves += [] if case.position is None else list(case.position.parameters())
    y = reals(case, kernel.run(q, k, v, bias))
    cotangent = torch.linspace(-1, 1, y.numel()).view_as(y).to(y)
    return [y, *torch.autograd.grad((y * cotangent).sum(), leaves)]


EVERY = [*PLAIN, *GROUPED, *LATER, *WINDOWS, *SLOPED, *TABLED, *PADDED, *SINKS, *UNEVEN]


@pytest.mark.parametrize("case", [*EVERY, Case(True, position=Pairwise())], ids=str)
def test_sdpa_is_the_equation(case: Case) -> None:
    ours, truth = (gradients(case, kernel, dtype=torch.float64) for kernel in (SDPA, REFERENCE))
    torch.testing.assert_close(ours, truth, rtol=1e-6, atol=1e-6)


def test_the_equation_in_bfloat16_is_rounded_once() -> None:
    q, k, v, bias = Case(True, 131, 131).ask(dtype=torch.bfloat16)
    y = REFERENCE.run(q, k, v, bias)
    assert y.dtype == torch.bfloat16
    right = REFERENCE.run(q.double(), k.double(), v.double(), bias)
    torch.testing.assert_close(y.double(), right, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize(
    "case",
    [
        Case(True, 37, 37, position=Table()),
        Case(False, 37, 37, position=Table(), kv_heads=2, lengths=(37, 9), sinks=True),
        Case(True, 4, 37, position=Asking(), value_width=5),
    ],
    ids=str,
)
def test_learned_masks_head_by_head_are_the_equation(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Tensor] = []

    def seen(*x: Any) -> Tensor:
        ran.append(x[3])
        return attention_masked.learned(*x)

    monkeypatch.setattr(attention_masked, "WORTH", 1)
    monkeypatch.setattr(attention, "learned", seen)
    ours, truth = (gradients(case, kernel, dtype=torch.float64) for kernel in (SDPA, REFERENCE))
    torch.testing.assert_close(ours, truth, rtol=1e-6, atol=1e-6)
    assert len(ran) == 1
    alike(case, SDPA)
    low = gradients(case, SDPA, dtype=torch.bfloat16)
    for mine, right in zip(low, truth, strict=True):
        assert (mine.double() - right).norm() <= 0.05 * right.norm()


@dataclass
class FlashAttn:
    """flash_attn_func as documented: (b, l, h, e), windows of both ends included, -1 for none."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def flash_attn_func(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        dropout_p: float = 0.0,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: tuple[int, int] = (-1, -1),
        softcap: float = 0.0,
        alibi_slopes: Tensor | None = None,
        deterministic: bool = False,
    ) -> Tensor:
        self.asked.append({"causal": causal, "window": window_size, "slopes": alibi_slopes})
        assert isinstance(window_size, tuple)
        assert q.shape[-1] == k.shape[-1] == v.shape[-1], "it has one width for all"
        assert alibi_slopes is None or alibi_slopes.dtype == torch.float32
        rows = []
        queries, keys, groups = q.shape[1], k.shape[1], q.shape[2] // k.shape[2]
        left, right = window_size
        for i in range(queries):
            own = i + keys - queries
            first = 0 if left < 0 else max(0, own - left)
            last = keys - 1 if right < 0 else min(keys - 1, own + right)
            last = min(last, own) if causal else last
            near = [z[:, first : last + 1].repeat_interleave(groups, 2) for z in (k, v)]
            score = torch.einsum("bhe,bjhe->bhj", q[:, i], near[0])
            score = score * (softmax_scale or q.shape[-1] ** -0.5)
            if alibi_slopes is not None:
                distance = (own - torch.arange(first, last + 1)).abs()
                score = score - alibi_slopes[:, None] * distance
            rows.append(torch.einsum("bhj,bjhe->bhe", score.softmax(-1), near[1]))
        return torch.stack(rows, dim=1)


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlashAttn]:
    played = FlashAttn()
    module = ModuleType("flash_attn")
    module.flash_attn_func = played.flash_attn_func  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    yield played
    assert len(played.asked) == 1


def alike(case: Case, kernel: zoo.Kernel) -> None:
    """In float32, outputs and gradients."""
    ours, truth = (gradients(case, each) for each in (kernel, REFERENCE))
    torch.testing.assert_close(ours, truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "case",
    [*PLAIN, *GROUPED, *LATER, *WINDOWS, *SLOPED, *UNEVEN, Case(True, lengths=(13, 4))],
    ids=str,
)
def test_flash_attn_is_asked_for_the_equation(case: Case, flash: FlashAttn) -> None:
    assert refusal(FLASH_ATTN, case) is None
    alike(case, FLASH_ATTN)


@pytest.mark.parametrize(("window", "left"), [(8, 7), (10**12, 28)])  # theirs are of 32 bits
def test_a_window_of_w_keys_is_w_less_one_to_flash_attn(
    window: int, left: int, flash: FlashAttn
) -> None:
    q, k, v, bias = Case(True, 29, 29, window=window).ask()
    FLASH_ATTN.run(q, k, v, bias)
    assert flash.asked == [{"causal": True, "window": (left, 0), "slopes": None}]


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """memory_efficient_attention on (b, l, h, e) or (b, l, g, h, e), its masks made dense."""
    xops = pytest.importorskip("xformers.ops")
    asked: list[Any] = []

    def explicit(
        q: Tensor, k: Tensor, v: Tensor, attn_bias: Any = None, p: float = 0.0, scale: Any = None
    ) -> Tensor:
        asked.append(attn_bias)
        assert q.shape[2:] == k.shape[2:] == v.shape[2:], "they broadcast nothing"
        assert q.shape[-1] % 8 == 0
        trained = any(z.requires_grad for z in (q, k, v)) and torch.is_grad_enabled()
        assert not (trained and q.ndim == 5), "groups of theirs are for the forward pass"
        q, k, v = (z.movedim(1, -2) for z in (q, k, v))
        scores = q @ k.mT * scale
        if attn_bias is not None:
            scores = scores + attn_bias.materialize(tuple(scores.shape[-2:]), scores.dtype)
        y: Tensor = (scores.softmax(-1) @ v).movedim(-2, 1)
        return y

    monkeypatch.setattr(xops, "memory_efficient_attention", explicit)
    yield asked
    assert len(asked) >= 1


@pytest.mark.parametrize(
    "case", [*PLAIN, *GROUPED, *LATER, *WINDOWS, *UNEVEN, Case(True, lengths=(13, 4))], ids=str
)
def test_xformers_is_asked_for_the_equation(case: Case, masks: list[Any]) -> None:
    assert refusal(XFORMERS, case) is None
    alike(case, XFORMERS)
    q, k, v, bias = case.ask()
    with torch.no_grad():
        ours, truth = (reals(case, kernel.run(q, k, v, bias)) for kernel in (XFORMERS, REFERENCE))
    torch.testing.assert_close(ours, truth, rtol=1e-4, atol=1e-4)


def test_a_band_reaches_no_later_key_if_causal(masks: list[Any], flash: FlashAttn) -> None:
    q, k, v, _ = (z if isinstance(z, AttentionBias) else z.detach() for z in Case(True).ask())
    bias = AttentionBias(True, Band(4, 3))
    right = REFERENCE.run(q, k, v, AttentionBias(True, Band(4, 0)))
    for kernel in (SDPA, FLASH_ATTN, FLEX, XFORMERS):
        torch.testing.assert_close(kernel.run(q, k, v, bias), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_flex_is_asked_for_the_equation(case: Case) -> None:
    assert refusal(FLEX, case) is None
    q, k, v, bias = case.ask()
    with torch.no_grad():  # torch refuses tensors that want a gradient, though none is asked for
        bare = [z.detach() for z in (q, k, v)]
        ours, truth = (reals(case, kernel.run(*bare, bias)) for kernel in (FLEX, REFERENCE))
    torch.testing.assert_close(ours, truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [SDPA, FLEX], ids=["sdpa", "flex"])
def test_queries_far_in_the_padding_keep_their_own_key(kernel: zoo.Kernel) -> None:
    q, k, v, bias = Case(False, 40, 40, window=6, lengths=(40, 3)).ask()
    with torch.no_grad():
        y = kernel.run(*(z.detach() for z in (q, k, v)), bias)
        torch.testing.assert_close(y[1, :, 20:], v[1, :, 20:])
        torch.testing.assert_close(y, REFERENCE.run(q, k, v, bias), rtol=1e-4, atol=1e-4)


def test_flex_is_compiled_a_few_times_a_kind_whatever_the_lengths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def count(graph: Any, inputs: list[Tensor]) -> Any:
        made.append(kind)
        return graph

    traced = compiled.__wrapped__(count)
    monkeypatch.setattr(attention_flex, "compiles", lambda q: True)
    monkeypatch.setattr(attention_flex, "compiled", lambda: traced)
    kinds: dict[str, dict[str, Any]] = {
        "table": {"position": Table()},
        "slopes": {"position": Slopes(), "window": 6},
        "window": {"window": 5, "kv_heads": 2},
        "sinks": {"sinks": True},
    }
    for kind, more in kinds.items():  # noqa: B007, read by count
        for length in (64, 65, 130, 300):
            case = Case(True, length, length, **more)
            q, k, v, bias = case.ask()
            with torch.no_grad():
                bare = [z.detach() for z in (q, k, v)]
                ours, truth = (kernel.run(*bare, bias) for kernel in (FLEX, REFERENCE))
            torch.testing.assert_close(ours, truth, rtol=1e-4, atol=1e-4)
    assert len(made) > 8, "torch's own limit"
    assert all(1 <= made.count(kind) <= 3 for kind in kinds)


@pytest.mark.parametrize("ends", [(0, 0), (5, 0), (127, 3), (128, 128), (200, 0), (1 << 30, 0)])
@pytest.mark.parametrize("shape", [(1, 1), (128, 128), (300, 300), (130, 513), (256, 512)])
def test_blocks_of_a_band_are_those_that_torch_finds(
    shape: tuple[int, int], ends: tuple[int, int]
) -> None:
    from torch.nn.attention.flex_attention import create_block_mask

    ours = banded(*ends, *shape, torch.device("cpu"))
    theirs = create_block_mask(ours.mask_mod, None, None, *shape, device="cpu")
    torch.testing.assert_close(ours.to_dense(), theirs.to_dense())
    for each in ("kv_num_blocks", "full_kv_num_blocks", "q_num_blocks", "full_q_num_blocks"):
        torch.testing.assert_close(getattr(ours, each), getattr(theirs, each))
    assert ours.shape == theirs.shape


def refusal(
    kernel: zoo.Kernel,
    case: Case,
    dtype: torch.dtype = torch.bfloat16,
    capability: tuple[int, int] = (9, 0),
) -> str | None:
    """What it would say on a good GPU."""
    q = FakeCuda(torch.empty(2, HEADS, case.queries, case.width, dtype=dtype))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        return kernel.refuses(q, case.bias())


class FakeCuda:
    """A tensor as seen from its traits."""

    def __init__(self, x: Tensor) -> None:
        self.shape, self.dtype, self.device = x.shape, x.dtype, torch.device("cuda")


@pytest.mark.parametrize(
    ("kernel", "case", "why"),
    [
        (FLASH_ATTN, Case(False, lengths=(13, 4)), "padding"),
        (FLASH_ATTN, Case(True, sinks=True), "no sinks"),
        (FLASH_ATTN, Case(True, position=Table()), "slopes only, not Table"),
        (FLASH_ATTN, Case(True, width=257), "up to 256 wide, not 257"),
        (XFORMERS, Case(False, lengths=(13, 4)), "padding"),
        (XFORMERS, Case(True, sinks=True), "no sinks"),
        (XFORMERS, Case(True, position=Slopes()), "Slopes as a dense mask"),
        (XFORMERS, Case(True, window=4, width=257), "up to 256 wide"),
        (FLEX, Case(True, position=Pairwise()), "Pairwise is none"),
        (FLEX, Case(True, position=Context()), "Context is none"),  # type: ignore[arg-type]
        (SDPA, Case(True, position=Context()), "Context needs the scores"),  # type: ignore[arg-type]
    ],
)
def test_what_a_kernel_cannot_take_is_refused_with_the_reason(
    kernel: zoo.Kernel, case: Case, why: str
) -> None:
    assert why in (refusal(kernel, case) or "nothing")


@pytest.mark.parametrize("kernel", [FLASH_ATTN, XFORMERS, FLEX])
def test_cpus_and_float64_are_refused(kernel: zoo.Kernel) -> None:
    assert "cpu" in str(kernel.refuses(torch.empty(1, 1, 2, 8)))
    assert "float64" in str(refusal(kernel, Case(True), torch.float64))


def test_flash_attn_and_windows_of_xformers_are_for_half_precision() -> None:
    assert "precision=bf16" in str(refusal(FLASH_ATTN, Case(True), torch.float32))
    assert refusal(XFORMERS, Case(True), torch.float32) is None
    assert "float32" in str(refusal(XFORMERS, Case(True, window=4), torch.float32))


def test_flash_attn_wants_ampere_and_slopes_that_do_not_learn() -> None:
    assert "8.0 (A100)" in str(refusal(FLASH_ATTN, Case(True), capability=(7, 5)))
    assert refusal(FLASH_ATTN, Case(True), capability=(8, 0)) is None

    class Learning(Slopes):
        slopes = torch.ones(HEADS, requires_grad=True)

    assert "no gradient" in str(refusal(FLASH_ATTN, Case(True, position=Learning())))


def chosen(case: Case, dtype: torch.dtype = torch.bfloat16) -> list[str]:
    """Kernels of full attention in the order in which auto would take them, on a good GPU."""
    return [k.name for k in zoo.ops.ATTENTIONS if refusal(k, case, dtype) is None]


def test_the_order_of_kernels_on_a_gpu() -> None:
    assert chosen(Case(True))[0] == "sdpa"
    assert chosen(Case(False, lengths=(13, 4)))[0] == "sdpa"
    assert chosen(Case(True, sinks=True))[0] == "sdpa"
    assert chosen(Case(True, position=Slopes()))[0] == "flash_attn"
    assert chosen(Case(True, position=Slopes()), torch.float32)[0] == "flex"
    assert chosen(Case(True, position=Table())) == ["flex", "sdpa", "reference"]
    assert chosen(Case(True, position=Pairwise())) == ["sdpa", "reference"]
    assert chosen(Case(True, position=Context())) == ["reference"]  # type: ignore[arg-type]
    assert chosen(Case(True, window=4))[:3] == ["flash_attn", "flex", "xformers"]


def test_without_a_gpu_no_package_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for kernel in (FLASH_ATTN, XFORMERS, FLEX):
        kernel.missing.__closure__[0].cell_contents.cache_clear()  # type: ignore[index]
        assert kernel.missing() == "this machine has no CUDA device"


@pytest.mark.gpu
@pytest.mark.parametrize("case", EVERY, ids=str)
@pytest.mark.parametrize("kernel", [SDPA, FLASH_ATTN, FLEX, XFORMERS], ids=lambda k: k.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_the_real_ones_are_the_equation(kernel: zoo.Kernel, case: Case, dtype: torch.dtype) -> None:
    probe, _, _, bias = case.ask(dtype=dtype, device="cuda")
    reason = kernel.reason(probe, bias)
    if reason is not None:
        pytest.skip(reason)
    torch.set_float32_matmul_precision("highest")
    ours = gradients(case, kernel, dtype=dtype, device="cuda")
    truth = gradients(case, REFERENCE, dtype=dtype, device="cuda")
    near = 2e-3 if dtype == torch.float32 else 4e-2
    for mine, right in zip(ours, truth, strict=True):
        assert (mine.double() - right.double()).norm() <= near * right.double().norm() + 1e-6
    compiled.cache_clear()
