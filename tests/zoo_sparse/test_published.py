"""Longformer and BigBird against transformers, weights copied over: outputs and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BigBirdConfig, LongformerConfig
from transformers.models.big_bird import modeling_big_bird as big_bird
from transformers.models.longformer import modeling_longformer as longformer

from zoo_sparse.bigbird import BigBird
from zoo_sparse.longformer import Longformer

DIM, HEADS = 16, 2


def bare(module: Any) -> Any:
    """Without biases of projections, which ours has not, in float64."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    return module.double()


def share(ours: Any, theirs: Any, *names: str) -> list[tuple[Tensor, list[Tensor]]]:
    """Their weights in ours, and no map after the heads; then pairs to hold gradients together."""
    pairs: list[tuple[Tensor, list[Tensor]]] = [
        (ours.qkv.weight, [getattr(theirs, name).weight for name in names[:3]])
    ]
    if len(names) > 3:
        pairs.append((ours.global_query.weight, [theirs.query_global.weight]))
        both = [theirs.key_global.weight, theirs.value_global.weight]
        pairs.append((ours.global_key_value.weight, both))
    with torch.no_grad():
        for mine, parts in pairs:
            mine.copy_(torch.cat(parts))
        ours.out.weight.copy_(torch.eye(DIM))
    return pairs


def hold(ours: Tensor, truth: Tensor, x: Tensor, pairs: Any) -> None:
    """Outputs and gradients of inputs and weights."""
    torch.testing.assert_close(ours, truth, rtol=1e-6, atol=1e-6)
    cotangent = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype).view_as(ours)
    leaves = [x, *(mine for mine, _ in pairs)]
    mine = torch.autograd.grad(ours, leaves, cotangent)
    theirs = torch.autograd.grad(truth, [x, *(p for _, parts in pairs for p in parts)], cotangent)
    torch.testing.assert_close(mine[0], theirs[0], rtol=1e-6, atol=1e-6)
    rest = list(theirs[1:])
    for grad, (_, parts) in zip(mine[1:], pairs, strict=True):
        joined = torch.cat([rest.pop(0) for _ in parts])
        torch.testing.assert_close(grad, joined, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seen_by_all", [0, 1, 5])
@pytest.mark.parametrize("half", [2, 8])
def test_longformer_is_that_of_transformers(half: int, seen_by_all: int) -> None:
    """Their window of w has w / 2 keys on either side and one's own: ours of w + 1."""
    torch.manual_seed(0)
    config = LongformerConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        attention_window=[2 * half],
        attention_probs_dropout_prob=0.0,
    )
    theirs = bare(longformer.LongformerSelfAttention(config, 0))  # type: ignore[no-untyped-call]
    ours = Longformer(
        DIM, causal=False, heads=HEADS, window=2 * half + 1, globals=seen_by_all
    ).double()
    own = ["query_global", "key_global", "value_global"] if seen_by_all else []
    pairs = share(ours, theirs, "query", "key", "value", *own)
    # without a global token their gradient in the padding is NaN
    lengths = torch.tensor([48, 29 if seen_by_all else 48])
    real = torch.arange(48) < lengths[:, None]
    mask = torch.zeros(2, 48, dtype=torch.float64).masked_fill(~real, -10000)
    mask[:, :seen_by_all] = 10000
    x = torch.randn(2, 48, DIM, dtype=torch.float64, requires_grad=True)
    (truth, *_) = theirs(
        x,
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=seen_by_all > 0,
    )
    hold(ours(x, lengths)[real], truth[real], x, pairs)


@pytest.mark.parametrize("random", [1, 2])
@pytest.mark.parametrize("size", [3, 8])
def test_bigbird_is_that_of_transformers(
    size: int, random: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs is global in the last block too, which we give them as padding; they draw as we do."""
    torch.manual_seed(0)
    blocks = 9
    length = size * blocks
    ours = BigBird(
        DIM, causal=False, heads=HEADS, block=size, globals=1, random=random, max_length=length
    ).double()
    drawn = ours.pattern.drawn(torch.arange(1, blocks))
    assert (drawn >= 0).all()
    monkeypatch.setattr(
        big_bird.BigBirdBlockSparseAttention,
        "_bigbird_block_rand_mask_with_head",
        lambda *_, **__: [drawn.numpy()] * HEADS,
    )
    config = BigBirdConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        block_size=size,
        num_random_blocks=random,
        attention_type="block_sparse",
        use_bias=False,
        max_position_embeddings=512,
    )
    theirs = bare(big_bird.BigBirdBlockSparseAttention(config))  # type: ignore[no-untyped-call]
    pairs = share(ours, theirs, "query", "key", "value")
    real = torch.ones(2, length + size, dtype=torch.float64)
    real[:, length:] = 0
    blocked, band, rows, columns = big_bird.BigBirdModel.create_masks_for_block_sparse_attn(
        real, size
    )
    x = torch.randn(2, length + size, DIM, dtype=torch.float64, requires_grad=True)
    (truth, *_) = theirs(x, band, rows, columns, blocked, blocked)
    hold(ours(x[:, :length]), truth[:, :length], x, pairs)
