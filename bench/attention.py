"""Attention on a CPU: ours against torch's fused kernel and against other people's modules.

    python bench/attention.py [full sliding others decode length] [--json FILE] [--rounds N]

All sides of a row take turns in one process; a ratio is the median over the rounds of the ratio
within a round. Peak memory is the growth of resident memory in a fresh process each. Exponents are
of overhead + c l^p. Needs the development dependencies.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

os.environ |= {"USE_HUB_KERNELS": "NO", "HF_HUB_OFFLINE": "1"}

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

import zoo
from turns import Row, Side, both, forward, fresh, growth, in_turns, peak_bytes, ratio, report
from zoo.options import given

D, H = 256, 4
"""Width and heads of every mixer: 4 heads of 64. Batch 1."""
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
QUADRATIC = 8192
"""The longest length for mixers that are quadratic."""
KINDS = {"forward": forward, "forward+backward": both}
OPTIONS: dict[str, dict[str, Any]] = {"sliding": {"window": 256}}
"""Where the defaults are not what is measured."""


def attentions() -> list[str]:
    """The mixers of attention, full and sparse."""
    shelf = zoo.load().mixers
    return [name for name in shelf if "attention" in shelf[name].family and name != OTHER]


OTHER = "linear_attention"
"""Of the family by name, but no softmax."""


def ours(name: str, **options: Any) -> zoo.Mixer:
    """A causal mixer without a position, whose cost would be the position's."""
    torch.manual_seed(0)
    cls: Any = zoo.load().mixers[name]
    named = {"causal": True, "heads": H, **OPTIONS.get(name, {}), **options}
    mixer: zoo.Mixer = cls(D, **given(cls, **named))
    return mixer


def call(module: Callable[[Tensor], Any], length: int, dim: int = D) -> Callable[[], Tensor]:
    """One pass over a sequence that wants a gradient."""
    torch.manual_seed(1)
    x = torch.randn(1, length, dim, requires_grad=True)

    def run() -> Tensor:
        y = module(x)
        out: Tensor = y[0] if isinstance(y, tuple) else y
        return out

    return run


class Bare(nn.Module):
    """The linear maps and torch's kernel, as anyone would write them."""

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b l (three h e) -> three b h l e", three=3, h=H)
        if self.window is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            at = torch.arange(x.shape[1])
            seen = (at <= at[:, None]) & (at > at[:, None] - self.window)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        mixed: Tensor = self.out(rearrange(y, "b h l e -> b l (h e)"))
        return mixed


def compare(row: str, sides: dict[str, Callable[[], Tensor]], rounds: int) -> Iterator[Row]:
    """A line per side and kind of pass; the first side is ours."""
    first = next(iter(sides))
    for kind, make in KINDS.items():
        seconds = in_turns({name: make(side) for name, side in sides.items()}, rounds)
        for name in sides:
            yield {"row": f"{row}, {kind}", "side": name, "ms": 1e3 * median(seconds[name])} | {
                "ours is faster": ratio(seconds, name, first)
            }


# --- the sections of the report


def full(rounds: int) -> Iterator[Row]:
    """Full attention against torch's kernel between the same linear maps."""
    for length in (512, 1024, 2048, 4096):
        sides = {"attention": call(ours("attention"), length), "sdpa": call(Bare(), length)}
        yield from compare(f"full attention at {length}", sides, 2 * rounds)


def sliding(rounds: int) -> Iterator[Row]:
    """A window of 256 at 8,192 against a masked call of torch's kernel, and local-attention."""
    from local_attention import LocalAttention

    theirs = LocalAttention(
        window_size=255,  # it keeps one key more than it says
        causal=True,
        exact_windowsize=True,
        autopad=True,
        use_rotary_pos_emb=False,
    )
    bare = Bare()

    def local(x: Tensor) -> Tensor:
        q, k, v = rearrange(bare.qkv(x), "b l (three h e) -> three b h l e", three=3, h=H)
        mixed: Tensor = bare.out(rearrange(theirs(q, k, v), "b h l e -> b l (h e)"))
        return mixed

    sides = {
        "sliding": call(ours("sliding"), 8192),
        "masked sdpa": call(Bare(window=256), 8192),
        "local-attention": call(local, 8192),
    }
    yield from compare("window 256 at 8192", sides, max(3, rounds // 2))


def others(rounds: int) -> Iterator[Row]:
    """Sparse attention at 4,096 against others' of the same sizes, and against full attention."""
    few, full = max(3, rounds // 3), call(Bare(), 4096)
    for name, theirs, package, options in (
        ("longformer", longformer(), "transformers", {"window": 513, "globals": 1}),
        ("bigbird", bigbird(), "transformers", {"block": 64, "max_length": 4096}),
        ("nsa", nsa(), "native-sparse-attention-pytorch", NSA),
        ("reformer", reformer(), "reformer-pytorch", LSH),
    ):
        encoder = {"causal": False} if package == "transformers" else {}
        sides = {
            name: call(ours(name, **encoder, **options), 4096),
            package: call(theirs, 4096),
            "sdpa, full": full,
        }
        yield from compare(f"{name} at 4096", sides, few)


NSA = {"kv_heads": 1, "compress": 32, "stride": 16, "block": 64, "select": 16, "window": 512}
"""The paper's."""
LSH = {"rounds": 4}


def longformer() -> nn.Module:
    """A window of 256 to each side and one global token, then the linear map that ours has."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    config = LongformerConfig(
        hidden_size=D,
        num_attention_heads=H,
        attention_window=[512],
        attention_probs_dropout_prob=0.0,
    )
    attention: Any = LongformerSelfAttention
    mixes = attention(config, layer_id=0)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixes, self.out = mixes, nn.Linear(D, D)

        def forward(self, x: Tensor) -> Tensor:
            seen = torch.zeros(x.shape[:2])
            seen[:, 0] = 10_000  # what it reads as global
            y = self.mixes(x, seen, seen < 0, seen > 0, is_global_attn=True)
            mixed: Tensor = self.out(y[0])
            return mixed

    return Whole()


def bigbird() -> nn.Module:
    """Blocks of 64, three random ones, then the linear map that ours has."""
    from transformers import BigBirdConfig, BigBirdModel
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention

    config = BigBirdConfig(
        hidden_size=D, num_attention_heads=H, block_size=64, num_random_blocks=3, use_bias=False
    )
    attention: Any = BigBirdBlockSparseAttention
    mixes = attention(config)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixes, self.out = mixes, nn.Linear(D, D)

        def forward(self, x: Tensor) -> Tensor:
            make = BigBirdModel.create_masks_for_block_sparse_attn
            blocked, band, rows, columns = make(torch.ones(x.shape[:2]), 64)
            y = self.mixes(x, band, rows, columns, blocked, blocked)
            mixed: Tensor = self.out(y[0])
            return mixed

    return Whole()


def nsa() -> nn.Module:
    """With the sizes of ours."""
    from native_sparse_attention_pytorch import SparseAttention

    theirs: nn.Module = SparseAttention(
        dim=D,
        dim_head=D // H,
        heads=H,
        kv_heads=1,
        causal=True,
        sliding_window_size=NSA["window"],
        compress_block_size=NSA["compress"],
        compress_block_sliding_stride=NSA["stride"],
        selection_block_size=NSA["block"],
        num_selected_blocks=NSA["select"],
    )
    return theirs


def reformer() -> nn.Module:
    """Buckets of 64 keys; a causal one that looks at later tokens when it makes its buckets."""
    from reformer_pytorch import LSHSelfAttention

    theirs: nn.Module = LSHSelfAttention(
        dim=D, heads=H, bucket_size=64, n_hashes=LSH["rounds"], causal=True
    )
    return theirs


@torch.no_grad()
def decode(rounds: int) -> Iterator[Row]:
    """One token after so many."""
    for name in attentions():
        mixer = ours(name).eval()
        sides: dict[str, Side] = {}
        for past in (512, 2048, 8192):
            _, state = mixer.prefill(torch.randn(1, past, D))
            sides[str(past)] = partial(mixer.step, torch.randn(1, D), state)
        seconds = in_turns(sides, 10 * rounds)
        for after, each in seconds.items():
            yield {
                "row": f"decode, {name}",
                "after": int(after),
                "ms": 1e3 * median(each),
                "against 512": median(each) / median(seconds["512"]),
                "state MB": 4 * mixer.state_size(int(after)) / 1e6,
            }


def peak(name: str, length: str) -> int:
    """Bytes of a forward and a backward pass, in this process."""
    sided = {"masked sdpa": Bare(window=256), "sdpa": Bare()}
    mixer = sided[name] if name in sided else ours(name, max_length=int(length))
    both(call(mixer, 64))()  # libraries, compiled code, thread pools
    return peak_bytes(both(call(mixer, int(length))))


def length(rounds: int) -> Iterator[Row]:
    """Time and memory of forward and backward against length, and their exponents."""
    shelf = zoo.load().mixers
    for name in [*attentions(), "masked sdpa"]:
        quadratic = name == "masked sdpa" or shelf[name].complexity == "l^2"
        reached = [n for n in LENGTHS if n <= (QUADRATIC if quadratic else LENGTHS[-1])]
        times, peaks = [], []
        for n in reached:
            # the square root of the length that a stride is, and the buckets that grow with it
            module = Bare(window=256) if name == "masked sdpa" else ours(name, max_length=n)
            side = {name: both(call(module, n))}
            few = max(3, rounds // 3) if n > 2048 else rounds
            times.append(median(in_turns(side, few, warm=1)[name]))
            peaks.append(fresh(__file__, name, n))
            yield {"row": "against length", "side": name, "length": n} | {
                "ms": 1e3 * times[-1],
                "MB": peaks[-1] / 1e6,
            }
        claim = "l^2" if name == "masked sdpa" else shelf[name].complexity
        yield {"row": "exponents", "side": name, "claimed": f"O({claim})"} | {
            "time": growth(reached, times),
            "memory": growth(reached, peaks),
        }


SECTIONS = {
    "full": full,
    "sliding": sliding,
    "others": others,
    "decode": decode,
    "length": length,
}

if __name__ == "__main__":
    report(__doc__, SECTIONS, {"b": 1, "d": D, "h": H}, peak)
