"""LSH attention against its definition, transformers and reformer-pytorch; and no leak."""

import os
from typing import Any

import pytest
import torch
from reformer_pytorch import LSHSelfAttention
from reformer_pytorch.reformer_pytorch import LSHAttention
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo_sparse.reformer import Reformer

DIM, HEADS = 16, 2
DIRECTIONS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


def build(causal: bool = True, **options: Any) -> Reformer:
    torch.manual_seed(0)
    options = {"heads": HEADS, "window": 6, "rounds": 3, "buckets": 4, **options}
    return Reformer(DIM, causal=causal, **options).double()


def by_hand(mixer: Reformer, x: Tensor) -> Tensor:
    """One row without padding, one query at a time."""
    y, e = torch.zeros(len(x), DIM, dtype=x.dtype), mixer.width
    for h in range(HEADS):
        q = x @ mixer.qv.weight[h * e : (h + 1) * e].T
        v = x @ mixer.qv.weight[DIM + h * e : DIM + (h + 1) * e].T
        mates: list[set[int]] = [set() for _ in x]
        for r in range(mixer.rounds):
            half = mixer.buckets // 2
            turned = q.detach() @ mixer.rotations[h, :, r * half : (r + 1) * half]
            members: dict[int, list[int]] = {}
            for t, row in enumerate(turned.tolist()):
                both = [*row, *(-z for z in row)]
                members.setdefault(both.index(max(both)), []).append(t)
            for bucket in members.values():
                for at, t in enumerate(bucket):
                    side = mixer.window if mixer.causal else mixer.window // 2
                    mates[t] |= {*bucket[max(0, at - side) : at]}
                    mates[t] |= set() if mixer.causal else {*bucket[at + 1 : at + 1 + side]}
        for t, seen in enumerate(mates):
            keys = sorted(seen) or [t]
            weights = torch.stack([q[t] @ q[j] / (q[j] @ q[j]).sqrt() for j in keys]).softmax(dim=0)
            place = torch.full((e,), t), torch.arange(h * e, (h + 1) * e)
            y = y.index_put(place, weights @ v[keys])
    return y @ mixer.out.weight.T


@DIRECTIONS
@pytest.mark.parametrize("kernel", ["chunked", "reference"])
@pytest.mark.parametrize(
    "options",
    [{}, {"window": 2, "rounds": 1}, {"window": 90, "rounds": 2, "buckets": 2}, {"buckets": 16}],
    ids=["default", "narrow", "wide", "buckets"],
)
def test_outputs_and_gradients_are_those_of_the_definition(
    options: dict[str, Any], kernel: str, causal: bool
) -> None:
    mixer = build(causal, kernel=kernel, **options)
    x = torch.randn(1, 37, DIM, dtype=torch.double, requires_grad=True)
    ours, truth = mixer(x), by_hand(mixer, x[0])[None]
    torch.testing.assert_close(ours, truth)
    cotangent = torch.linspace(-1, 1, ours.numel()).double().view_as(ours)
    given = [x, *mixer.parameters()]
    for one, other in zip(
        torch.autograd.grad(ours, given, cotangent),
        torch.autograd.grad(truth, given, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def heads_of(mixer: Reformer, x: Tensor) -> Tensor:
    """(b h, l, e) before the last linear map."""
    q, v, buckets = mixer.project(x)
    keys = torch.nn.functional.normalize(q, dim=-1)
    y: Tensor = mixer.pick(q).run(q, keys, v, buckets, mixer.band)
    return y.flatten(0, 1)


@DIRECTIONS
def test_reformer_pytorch_agrees_on_several_rounds_that_find_the_same_keys(causal: bool) -> None:
    """Two chunks: causal ones see all before them in their bucket, and so nothing can leak.

    Bidirectional, tokens and their opposites fall into two buckets of equal size, chunk by chunk.
    """
    length, rounds = 64, 4
    mixer = build(causal, window=2 * length, rounds=rounds, buckets=2)
    x = torch.randn(2, length, DIM, dtype=torch.double)
    if not causal:
        x = torch.stack([x[:, ::2], -x[:, ::2]], dim=2).flatten(1, 2)
    x.requires_grad_()
    torch.manual_seed(1)
    rotations = torch.randn(1, mixer.width, rounds, 1, dtype=torch.double)
    mixer.rotations.copy_(rotations.flatten(2).expand_as(mixer.rotations))
    theirs = LSHAttention(
        bucket_size=length // 2, n_hashes=rounds, causal=causal, attend_across_buckets=False,
        allow_duplicate_attention=False,
    )  # fmt: skip
    q, v, _ = mixer.project(x)
    torch.manual_seed(1)
    y, _, buckets = theirs(mixer.width**0.5 * q.flatten(0, 1), v.flatten(0, 1))
    assert len(buckets.unique()) == 2 * rounds
    # they add 1e-9 to a count before its logarithm
    ours = heads_of(mixer, x)
    alone = (ours - v.flatten(0, 1)).abs().amax(-1) == 0
    assert alone.any() == causal
    torch.testing.assert_close(ours, y, rtol=1e-6, atol=1e-6)
    cotangent = torch.randn_like(y)
    (mine,), (right,) = (torch.autograd.grad(z, x, cotangent, retain_graph=True) for z in (ours, y))
    torch.testing.assert_close(mine, right, rtol=1e-6, atol=1e-6)


def transformers_attention(causal: bool, chunk: int, buckets: int) -> Any:
    os.environ["USE_HUB_KERNELS"] = "NO"
    reformer = pytest.importorskip("transformers.models.reformer.modeling_reformer")
    config = reformer.ReformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_head_size=DIM // HEADS,
        lsh_attn_chunk_length=chunk, num_hashes=2, num_buckets=buckets, is_decoder=causal,
        lsh_attention_probs_dropout_prob=0.0, hash_seed=0, axial_pos_embds=False,
        max_position_embeddings=64,
    )  # fmt: skip
    return reformer.LSHSelfAttention(config, layer_idx=0).eval()


@DIRECTIONS
def test_transformers_agrees_within_one_chunk(causal: bool) -> None:
    mixer, theirs = (
        build(causal, window=80, buckets=1).float(),
        transformers_attention(causal, 64, 2),
    )
    with torch.no_grad():
        mixer.out.weight.copy_(torch.eye(DIM))
        theirs.query_key.weight.copy_(mixer.qv.weight[:DIM])
        theirs.value.weight.copy_(mixer.qv.weight[DIM:])
    x = torch.randn(2, 39, DIM, requires_grad=True)
    ours, right = mixer(x), theirs(x).hidden_states
    torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)
    cotangent = torch.randn_like(ours)
    (mine,), (wanted,) = (torch.autograd.grad(y, x, cotangent) for y in (ours, right))
    torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-4)


def change_before(module: Any, x: Tensor, seed: int = 0) -> float:
    """How much the outputs before the last token change with it."""
    other, ys = x.clone(), []
    other[:, -1] += 3 * torch.randn(x.shape[2], dtype=x.dtype)
    for z in (x, other):
        torch.manual_seed(seed)  # reformer-pytorch draws rotations at each pass
        y = module(z)
        ys.append(getattr(y, "hidden_states", y)[:, :-1])
    return float((ys[0] - ys[1]).abs().max())


@torch.no_grad()
def test_the_buckets_of_others_leak_the_future_and_ours_do_not() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64, DIM)
    pytorch = LSHSelfAttention(DIM, heads=HEADS, bucket_size=8, n_hashes=2, causal=True)
    assert change_before(pytorch, x) > 1e-3
    assert change_before(transformers_attention(True, 8, 8), x) > 1e-3
    for seed in range(5):
        ours = build(window=8, buckets=8, rounds=2, seed=seed)
        # a sum of the same numbers from another place on may end in another bit
        assert change_before(ours, x.double()) < 1e-14


def test_a_key_found_by_many_rounds_counts_once() -> None:
    many, one = build(rounds=3), build(rounds=1)
    one.load_state_dict({**many.state_dict(), "rotations": many.rotations[..., :2]})
    many.rotations.copy_(many.rotations[..., :2].repeat(1, 1, 3))
    x = torch.randn(2, 40, DIM, dtype=torch.double)
    torch.testing.assert_close(many(x), one(x))


def test_a_token_without_mates_reads_itself() -> None:
    mixer, x = build(), torch.randn(2, 5, DIM, dtype=torch.double)
    value = x[:, 0] @ mixer.qv.weight[DIM:].T @ mixer.out.weight.T
    torch.testing.assert_close(mixer(x)[:, 0], value)


def test_rotations_come_from_the_seed_and_the_layer_and_travel_with_the_weights() -> None:
    assert torch.equal(build(seed=3).rotations, build(seed=3).rotations)
    assert not torch.equal(build(seed=3).rotations, build(seed=4).rotations)
    assert not torch.equal(build(layer=0).rotations, build(layer=1).rotations)
    assert "rotations" in build().state_dict()
    assert build(max_length=4096, buckets=None, window=64).buckets == 64


@DIRECTIONS
@pytest.mark.parametrize("kernel", ["chunked", "reference"])
def test_nan_in_the_padding_reaches_neither_outputs_nor_gradients(
    causal: bool, kernel: str
) -> None:
    mixer = build(causal, kernel=kernel)
    lengths = torch.tensor([50, 33, 1])
    real = torch.arange(50) < lengths[:, None]
    clean = torch.randn(3, 50, DIM, dtype=torch.double)
    x = clean.masked_fill(~real[..., None], torch.nan).requires_grad_()
    y = mixer(x, lengths)[real]
    torch.testing.assert_close(y, mixer(clean, lengths)[real])
    torch.testing.assert_close(mixer(x, lengths)[1, :33], mixer(clean[1:2, :33])[0])
    for grad in torch.autograd.grad(y.sum(), [x, *mixer.parameters()]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("window", [1, 6, 90])
def test_steps_are_the_forward_with_its_gradients(window: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("zoo_sparse.lsh.ROOM", 500)  # a few queries at a time
    mixer, x = build(window=window), torch.randn(2, 43, DIM, dtype=torch.double)
    x.requires_grad_()
    wanted = mixer(x)
    y, state = mixer.prefill(x[:, :18])
    more, state = mixer.prefill(x[:, 18:30], state)
    ys = [*y.unbind(1), *more.unbind(1)]
    for t in range(30, 43):
        y, state = mixer.step(x[:, t], state)
        ys.append(y)
        tensors = [z.untyped_storage() for z in state if isinstance(z, Tensor)]
        stored = {z.data_ptr(): z.nbytes() for z in tensors}
        assert sum(stored.values()) == 2 * 8 * mixer.state_size(t + 1)
    ours = torch.stack(ys, dim=1)
    torch.testing.assert_close(ours, wanted)
    cotangent = torch.randn_like(wanted)
    for one, other in zip(
        torch.autograd.grad(ours, [x, *mixer.parameters()], cotangent),
        torch.autograd.grad(wanted, [x, *mixer.parameters()], cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@DIRECTIONS
def test_a_window_wider_than_everything_sees_the_whole_bucket_and_no_other(causal: bool) -> None:
    x = torch.randn(1, 33, DIM, dtype=torch.double)
    wide, enough = (build(causal, window=window, buckets=64) for window in (10**9, 80))
    torch.testing.assert_close(wide(x), enough(x))
    if causal:
        _, state = wide.prefill(x[:, :32])
        torch.testing.assert_close(wide.step(x[:, 32], state)[0], enough(x)[:, 32])


@DIRECTIONS
def test_float16_outlives_the_zeros_of_the_padding(causal: bool) -> None:
    x = torch.randn(2, 40, DIM, dtype=torch.half, requires_grad=True)
    y = build(causal).half()(x, torch.tensor([40, 9]))
    assert y.isfinite().all()
    (grad,) = torch.autograd.grad(y.float().sum(), x)
    assert grad.isfinite().all()


def test_bidirectional_does_not_step() -> None:
    mixer = build(causal=False)
    with pytest.raises(zoo.ZooError, match="causal=True"):
        mixer.step(torch.zeros(1, DIM).double(), mixer.initial_state(1))


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.numel = max(self.numel, leaf.numel())
        return out


@DIRECTIONS
def test_nothing_grows_with_the_square_of_the_length(causal: bool) -> None:
    mixer, sizes = build(causal).float(), []
    for length in (1024, 2048):
        x = torch.randn(1, length, DIM, requires_grad=True)
        with Largest() as largest:  # type: ignore[no-untyped-call]
            mixer(x, torch.tensor([length - 1])).sum().backward()
        sizes.append(largest.numel)
    assert sizes[1] <= 2 * sizes[0]
    assert sizes[1] < 2048**2 / 10


@DIRECTIONS
@pytest.mark.parametrize("window", [1, 64, 101, 4000])
def test_flops_are_those_counted(window: int, causal: bool) -> None:
    mixer = build(causal, window=window).to("meta")
    with FlopCounterMode(display=False) as counter:
        mixer(torch.empty(2, 1021, DIM, dtype=torch.double, device="meta"))
    assert mixer.flops(2, 1021).matmul == counter.get_total_flops()


@DIRECTIONS
def test_autocast_hashes_as_float32_does(causal: bool) -> None:
    mixer = build(causal).float()
    x, lengths = torch.randn(2, 65, DIM), torch.tensor([65, 30])
    real = torch.arange(65) < lengths[:, None]
    truth = mixer(x, lengths)[real]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = mixer(x, lengths)[real]
        many = torch.randn(1, 2000, DIM)
        buckets = mixer.project(many)[2]
    assert torch.equal(buckets, mixer.project(many)[2])
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), truth, atol=2e-2, rtol=0)


def test_options_that_do_not_fit_are_refused_with_those_that_do() -> None:
    with pytest.raises(zoo.ZooError, match=r"heads=3 .* dim=16; try mixer.heads="):
        Reformer(16, heads=3)
    with pytest.raises(zoo.ZooError, match=r"buckets=5 is odd.*try mixer.buckets=6"):
        Reformer(16, buckets=5)
