"""Every attention against one that somebody else wrote: torch's own, and those of transformers.

Their weights are copied over, and angles given, for transformers would make them in float32. Most
of its layers have their norms or softmax in float32 whatever they are given: those agree to 1e-5,
torch's and gpt-oss's to 1e-9.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo_attention.differential import DiffAttention
from zoo_attention.full import Attention
from zoo_attention.grouped import GroupedQuery, MultiQuery
from zoo_attention.latent import LatentAttention
from zoo_position.rope import Rope

DIM, LENGTH = 24, 11


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3)).double()


def same(mixer: zoo.Mixer, theirs: Callable[[Tensor], Tensor], tolerance: float = 1e-9) -> None:
    """Outputs, and gradients of the input."""
    x = noise(2, LENGTH, DIM).requires_grad_()
    ours, right = mixer(x), theirs(x)
    torch.testing.assert_close(ours, right, rtol=tolerance, atol=tolerance)
    cotangent = noise(2, LENGTH, DIM).flip(1)
    mine, truth = (torch.autograd.grad((y * cotangent).sum(), x)[0] for y in (ours, right))
    torch.testing.assert_close(mine, truth, rtol=tolerance, atol=tolerance)


def same_gradients(ours: Tensor | None, theirs: Tensor | None) -> None:
    assert ours is not None
    assert theirs is not None
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def angles(width: int) -> tuple[Tensor, Tensor]:
    """cos and sin (1, l, e) as transformers hands them to its layers."""
    at = torch.arange(LENGTH).double()
    angle = at[:, None] * 10000.0 ** (-torch.arange(0, width, 2).double() / width)
    angle = torch.cat([angle, angle], dim=-1)[None]
    return angle.cos(), angle.sin()


def hidden(causal: bool) -> Tensor:
    """What transformers adds to the scores."""
    mask = torch.zeros(1, 1, LENGTH, LENGTH).double()
    return (
        mask.masked_fill(torch.ones(LENGTH, LENGTH).bool().triu(1), -torch.inf) if causal else mask
    )


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_attention_is_torchs(causal: bool) -> None:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(DIM, 3, bias=False, batch_first=True).double()
    mixer = Attention(DIM, causal=causal, heads=3).double()
    mixer.qkv.weight, mixer.out.weight = theirs.in_proj_weight, theirs.out_proj.weight
    mask = torch.ones(LENGTH, LENGTH).bool().triu(1) if causal else None
    same(mixer, lambda x: theirs(x, x, x, attn_mask=mask, need_weights=False)[0])


def layer(module: str, name: str, config: str, **options: Any) -> tuple[Any, Any]:
    """An attention layer of transformers with weights worth comparing."""
    models = pytest.importorskip(f"transformers.models.{module}")
    made = getattr(models, config)(
        hidden_size=DIM, num_hidden_layers=3, attention_bias=False, **options
    )
    made._attn_implementation = "eager"
    torch.manual_seed(0)
    theirs = getattr(getattr(models, f"modeling_{module}"), name)(made, 2).double().eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.3)
    return theirs, made


def answer(theirs: Any, width: int, causal: bool, half: bool = False) -> Callable[[Tensor], Tensor]:
    """``half``: it takes each angle once."""

    def call(x: Tensor) -> Tensor:
        turn = tuple(z[..., : width // 2] if half else z for z in angles(width))
        y: Tensor = theirs(x, position_embeddings=turn, attention_mask=hidden(causal))[0]
        return y

    return call


def take(mixer: Attention, theirs: Any) -> None:
    """Separate maps of queries, keys and values stacked into one."""
    maps = [theirs.q_proj.weight, theirs.k_proj.weight, theirs.v_proj.weight]
    mixer.qkv.weight = nn.Parameter(torch.cat(maps))
    mixer.out.weight = theirs.o_proj.weight


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize(("cls", "kv_heads"), [(GroupedQuery, 2), (MultiQuery, 1)])
def test_shared_keys_are_llamas(cls: type[Attention], kv_heads: int, causal: bool) -> None:
    heads = {"num_attention_heads": 4, "num_key_value_heads": kv_heads}
    theirs, _ = layer("llama", "LlamaAttention", "LlamaConfig", **heads)
    mixer = cls(DIM, causal=causal, position=Rope, heads=4).double()
    take(mixer, theirs)
    same(mixer, answer(theirs, 6, causal), 1e-5)


def test_norms_of_queries_and_keys_are_qwens() -> None:
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6}
    theirs, made = layer("qwen3", "Qwen3Attention", "Qwen3Config", **heads)
    assert made.rms_norm_eps == 1e-6
    mixer = Attention(DIM, position=Rope, heads=4, kv_heads=2, qk_norm=True).double()
    take(mixer, theirs)
    assert mixer.q_norm is not None
    assert mixer.k_norm is not None
    mixer.q_norm.weight, mixer.k_norm.weight = theirs.q_norm.weight, theirs.k_norm.weight
    same(mixer, answer(theirs, 6, causal=True), 1e-5)


@pytest.mark.parametrize("window", [1, 2, 5, 30])
def test_a_window_of_w_keys_is_w_to_transformers(window: int) -> None:
    masks = pytest.importorskip("transformers.masking_utils")
    at = torch.arange(LENGTH)
    theirs = masks.sliding_window_causal_mask_function(window)(0, 0, at[:, None], at[None])
    q = torch.empty(1, 1, LENGTH, 4)
    seen = zoo.ops.AttentionBias(True, zoo.ops.Band.of(window, causal=True)).seen(q, q)
    torch.testing.assert_close(seen, theirs)


@pytest.mark.parametrize("kernel", ["sdpa", "reference"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_sinks_are_those_of_gpt_oss(causal: bool, kernel: Any) -> None:
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6}
    theirs, _ = layer("gpt_oss", "GptOssAttention", "GptOssConfig", **heads)
    mixer = Attention(
        DIM, causal=causal, position=Rope, heads=4, kv_heads=2, sinks=True, kernel=kernel
    ).double()
    take(mixer, theirs)
    assert mixer.sinks is not None
    mixer.sinks.data.copy_(theirs.sinks)
    right = answer(theirs, 6, causal, half=True)
    same(mixer, right)
    x = noise(2, LENGTH, DIM)
    for each in (mixer(x), right(x)):
        each.square().sum().backward()
    same_gradients(mixer.sinks.grad, theirs.sinks.grad)


@pytest.mark.parametrize("kv_heads", [3, 1])
def test_the_difference_of_two_maps_is_diffllamas(kv_heads: int) -> None:
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2 * kv_heads}
    theirs, _ = layer("diffllama", "DiffLlamaAttention", "DiffLlamaConfig", **heads)
    mixer = DiffAttention(DIM, position=Rope, layer=2, heads=3, kv_heads=kv_heads).double()
    assert theirs.lambda_init == mixer.lambda_init == pytest.approx(0.8 - 0.6 * 2.718281828**-0.6)

    def paired(weight: Tensor) -> Tensor:
        """Theirs has all first maps, then all second; ours has the two of a head together."""
        return weight.view(2, -1, 4, DIM).transpose(0, 1).reshape(-1, DIM)

    maps = [paired(p.weight) for p in (theirs.q_proj, theirs.k_proj, theirs.v_proj)]
    mixer.qkv.weight = nn.Parameter(torch.cat(maps))
    mixer.out.weight = theirs.o_proj.weight
    mixer.norm.eps = theirs.groupnorm.eps
    names = ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2")
    for name in names:
        getattr(mixer, name).data.copy_(getattr(theirs, name))
    same(mixer, answer(theirs, 4, causal=True), 1e-5)
    x = noise(2, LENGTH, DIM)
    for each in (mixer(x), answer(theirs, 4, causal=True)(x)):
        each.square().sum().backward()
    for name in names:
        same_gradients(getattr(mixer, name).grad, getattr(theirs, name).grad)


def half_split(rows: Tensor) -> Tensor:
    """Pairs (2i, 2i + 1) of DeepSeek's turned rows as our (i, i + r/2)."""
    return torch.cat([rows[..., 0::2, :], rows[..., 1::2, :]], dim=-2)


@pytest.mark.parametrize("q_rank", [None, 7])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_latent_attention_is_deepseeks(causal: bool, q_rank: int | None) -> None:
    widths = {"qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 6, "kv_lora_rank": 9}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "q_lora_rank": q_rank}
    theirs, _ = layer("deepseek_v3", "DeepseekV3Attention", "DeepseekV3Config", **widths, **heads)
    mixer = LatentAttention(
        DIM, causal=causal, position=Rope, heads=4, kv_rank=9, rope_width=4, q_rank=q_rank
    ).double()

    def queries(weight: Tensor) -> nn.Parameter:
        rows = weight.view(4, 10, -1)
        parts = [rows[:, :6], half_split(rows[:, 6:])]
        return nn.Parameter(torch.cat(parts, dim=1).flatten(0, 1))

    if q_rank is None:
        mixer.q.weight = queries(theirs.q_proj.weight)
    else:
        down, norm, up = list(mixer.q.children())
        down.weight, norm.weight = theirs.q_a_proj.weight, theirs.q_a_layernorm.weight
        up.weight = queries(theirs.q_b_proj.weight)
    both = theirs.kv_a_proj_with_mqa.weight
    mixer.latent.weight = nn.Parameter(torch.cat([both[:9], half_split(both[9:])]))
    mixer.norm.weight, mixer.kv.weight = theirs.kv_a_layernorm.weight, theirs.kv_b_proj.weight
    mixer.out.weight = theirs.o_proj.weight
    same(mixer, answer(theirs, 4, causal), 1e-5)
    if causal:  # token by token, over the cache of latents
        x, state, ys = noise(2, LENGTH, DIM), mixer.initial_state(2), []
        for token in x.unbind(1):
            y, state = mixer.step(token, state)
            ys.append(y)
        right = answer(theirs, 4, causal)(x)
        torch.testing.assert_close(torch.stack(ys, 1), right, rtol=1e-5, atol=1e-5)
