"""Positions against implementations that nobody here wrote: x-transformers and transformers."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, Sam2VideoConfig, Wav2Vec2BertConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.detr.modeling_detr import DetrSinePositionEmbedding
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.models.sam2_video import modeling_sam2_video as sam2
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.models.wav2vec2_bert import modeling_wav2vec2_bert as wav2vec2
from x_transformers import x_transformers as x_transformers

import zoo
from zoo_position.alibi import ALiBi
from zoo_position.cope import CoPE
from zoo_position.rope import Rope
from zoo_position.rope_2d import Rope2D
from zoo_position.shaw import Shaw
from zoo_position.sinusoidal_2d import Sinusoidal2D
from zoo_position.t5 import T5
from zoo_position.xpos import XPos

E = 16


def interleaved(x: Tensor) -> Tensor:
    """Half-split pairs (x_i, x_(i + e/2)) as neighbours."""
    return torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)


def compare(
    mine: zoo.QueryKeyPosition, theirs: tuple[Tensor, Tensor], q: Tensor, k: Tensor
) -> None:
    for one, other in zip(mine(q, k), theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize(
    ("scaling", "theirs"),
    [
        ("linear", {"rope_type": "linear", "factor": 4.0}),
        # dynamic NTK at twice the original length is NTK with a factor of one more
        ("ntk", {"rope_type": "dynamic", "factor": 3.0}),
        ("yarn", {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}),
    ],
)
def test_stretched_rope_is_that_of_transformers(
    scaling: Any, theirs: dict[str, Any], fraction: float
) -> None:
    parameters = {"rope_theta": 10000.0, "partial_rotary_factor": fraction, **theirs}
    config = LlamaConfig(
        hidden_size=2 * E,
        num_attention_heads=2,
        head_dim=E,
        max_position_embeddings=512,
        rope_parameters=parameters,
    )
    length = 1024 if scaling == "ntk" else None
    frequency, size = ROPE_INIT_FUNCTIONS[theirs["rope_type"]](config, "cpu", seq_len=length)
    q, k = torch.randn(2, 1, 2, 30, E).unbind()
    angle = torch.cat([torch.arange(30.0)[:, None] * frequency] * 2, dim=-1)[None]
    cos, sin, part = angle.cos() * size, angle.sin() * size, int(E * fraction)
    turned = apply_rotary_pos_emb(q[..., :part], k[..., :part], cos, sin)
    right = [torch.cat([t, x[..., part:]], -1) for t, x in zip(turned, (q, k), strict=True)]
    rope = Rope(
        2 * E,
        2,
        fraction=fraction,
        scaling=scaling,
        factor=4.0,
        original_length=512,
    )
    compare(rope, (right[0], right[1]), q, k)


@pytest.mark.parametrize(("length", "base"), [(64, 10000.0), (512, 10.0), (20, 1e6), (4096, 100.0)])
def test_ramps_of_yarn_that_pass_the_ends_are_those_of_transformers(
    length: int, base: float
) -> None:
    how = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": length}
    config = LlamaConfig(
        hidden_size=2 * E,
        num_attention_heads=2,
        head_dim=E,
        max_position_embeddings=4 * length,
        rope_parameters={"rope_theta": base, **how},
    )
    right, _ = ROPE_INIT_FUNCTIONS["yarn"](config, "cpu")
    rope = Rope(2 * E, 2, base=base, scaling="yarn", factor=4.0, original_length=length)
    plain = base ** (-torch.arange(0.0, E, 2) / E)
    torch.testing.assert_close(rope.stretch(plain, base), right)


def test_rope_is_that_of_x_transformers_interleaved() -> None:
    q, k = torch.randn(2, 1, 2, 40, E).unbind()
    # its rescaling of the base is NTK
    for rope, more in (
        (Rope(32, 2), {}),
        (Rope(32, 2, scaling="ntk", factor=4.0), {"base_rescale_factor": 4.0}),
    ):
        frequency, size = x_transformers.RotaryEmbedding(E, **more).forward_from_seq_len(40)
        for one, x in zip(rope(q, k), (q, k), strict=True):
            right = x_transformers.apply_rotary_pos_emb(interleaved(x), frequency, size)
            torch.testing.assert_close(interleaved(one), right, atol=1e-5, rtol=1e-5)


def test_products_of_xpos_are_those_of_x_transformers() -> None:
    q, k = torch.randn(2, 1, 2, 60, E).unbind()
    theirs = x_transformers.RotaryEmbedding(E, use_xpos=True, scale_base=32)
    frequency, size = theirs.forward_from_seq_len(60)
    right = (
        x_transformers.apply_rotary_pos_emb(interleaved(q), frequency, size)
        @ x_transformers.apply_rotary_pos_emb(interleaved(k), frequency, size**-1).mT
    )
    mine = XPos(2 * E, 2, max_length=999, scale_base=32.0)(q, k)
    torch.testing.assert_close((mine[0] @ mine[1].mT).tril(), right.tril(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("heads", [1, 3, 4, 6, 8, 12, 16, 20])
def test_alibi_is_that_of_x_transformers_and_bloom(heads: int) -> None:
    at = torch.arange(30)
    mine = ALiBi(4 * heads, heads)(torch.zeros(1, heads, 30, 4), at, at)
    right = x_transformers.AlibiPositionalBias(heads)(30, 30)
    torch.testing.assert_close(mine[0], right)
    # Bloom adds slope times the key's position, the same to a softmax over the past
    bloom = build_alibi_tensor(torch.ones(1, 30), heads, torch.float32)
    torch.testing.assert_close(mine[0, :, 29], bloom[:, 0] - bloom[:, 0, -1:])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (16, 50)])
def test_t5_is_that_of_transformers_and_x_transformers(
    causal: bool, buckets: int, longest: int
) -> None:
    mine = T5(16, 4, causal=causal, buckets=buckets, max_distance=longest)
    distance = torch.arange(-700, 700)
    how = {"num_buckets": buckets, "max_distance": longest}
    theirs: Any = T5Attention
    found = theirs._relative_position_bucket(distance, bidirectional=not causal, **how)
    torch.testing.assert_close(mine.bias(distance), mine.table[:, found])
    theirs = x_transformers.RelativePositionBias(scale=1, causal=causal, heads=4, **how)
    with torch.no_grad():
        theirs.relative_attention_bias.weight.copy_(mine.table.mT)
    at = torch.arange(200)
    biases = mine(torch.zeros(1, 4, 200, 4), at, at)[0]
    torch.testing.assert_close(biases, theirs(200, 200))


def test_shaw_is_that_of_wav2vec2_bert() -> None:
    config = Wav2Vec2BertConfig(
        hidden_size=2 * E,
        num_attention_heads=2,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=5,
        right_max_position_embeddings=5,
    )
    module: Any = wav2vec2
    theirs = module.Wav2Vec2BertSelfAttention(config)
    mine = Shaw(2 * E, 2, causal=False, max_distance=5)
    mine.table = theirs.distance_embedding.weight
    q, at = torch.randn(2, 2, 20, E, requires_grad=True), torch.arange(20)
    _, right = module._apply_relative_key_position_encoding(theirs, q, q)
    ours = mine(q, at, at)
    torch.testing.assert_close(ours, right)
    cotangent = torch.randn_like(right)
    inputs = [q, mine.table]
    torch.testing.assert_close(
        torch.autograd.grad(ours, inputs, cotangent), torch.autograd.grad(right, inputs, cotangent)
    )


def test_cope_is_that_of_x_transformers() -> None:
    mine, theirs = CoPE(2 * E, 2, npos_max=7), x_transformers.CoPE(E, 2, max_pos=7)
    torch.nn.init.normal_(theirs.pos_emb)
    mine.table = theirs.pos_emb
    q = torch.randn(2, 2, 20, E, requires_grad=True)
    raw = torch.randn(2, 2, 20, 20, requires_grad=True)
    seen = torch.ones(20, 20, dtype=torch.bool).tril()
    found = []
    for cope, hidden in ((mine, -torch.inf), (theirs, -1e30)):
        added = cope(q, raw.masked_fill(~seen, hidden))[..., seen]
        found.append([added, *torch.autograd.grad(added.square().sum(), [q, raw, mine.table])])
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)


def test_a_grids_sinusoids_are_detrs_that_count_from_one() -> None:
    theirs = DetrSinePositionEmbedding(num_position_features=8)
    right = theirs(torch.Size([1, 3, 4, 6]), "cpu", torch.float32)[0]  # (d, 4, 6)
    mine = Sinusoidal2D(16, 1, width=7)(torch.zeros(1, 35, 16))[0].view(5, 7, 16)
    torch.testing.assert_close(mine[1:, 1:].permute(2, 0, 1), right, atol=1e-5, rtol=1e-5)


def test_a_grids_rope_is_sam_2s_interleaved() -> None:
    config = Sam2VideoConfig(
        memory_attention_hidden_size=2 * E,
        memory_attention_num_attention_heads=2,
        memory_attention_downsample_rate=1,
        rope_parameters={"rope_type": "axial", "rope_theta": 100.0},
    )
    at = torch.arange(30)
    both = torch.stack([at // 6, at % 6])
    cos, sin = sam2.Sam2VideoVisionRotaryEmbedding(config)(torch.zeros(1), both[None])
    q, k = torch.randn(2, 1, 2, 30, E).unbind()

    def pairs(x: Tensor) -> Tensor:
        return torch.cat([interleaved(half) for half in x.chunk(2, dim=-1)], dim=-1)

    right = sam2.apply_rotary_pos_emb_2d(pairs(q), pairs(k), cos, sin)
    mine = Rope2D(2 * E, 2, width=6)(q, k)
    for one, other in zip(mine, right, strict=True):
        torch.testing.assert_close(pairs(one), other, atol=1e-5, rtol=1e-5)
