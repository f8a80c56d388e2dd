"""The backbone: one trunk for every mixer, hybrids, positions, decoding, optimizer groups."""

from collections.abc import Iterator, Sequence

import pytest
import torch

import zoo
from zoo import registry
from zoo.build import Builder
from zoo.config import resolve
from zoo.model import Backbone, state_bytes
from zoo.plan import Plan, plan

SHELVES = registry.load()
SMALL = ["task=copy", "budget=smoke", "dim=16", "depth=3"]


def planned(*words: str, base: Sequence[str] = SMALL) -> Plan:
    own = {word.partition("=")[0] for word in words}
    kept = [word for word in base if word.partition("=")[0] not in own]
    (config,) = resolve(SHELVES, [*kept, *words], multirun=False)
    return plan(SHELVES, config)


def built(*words: str) -> tuple[Plan, Backbone]:
    one = planned(*words)
    torch.manual_seed(0)
    return one, one.build().eval()


@pytest.mark.parametrize("channel", list(SHELVES.channels))
@pytest.mark.parametrize("block", list(SHELVES.blocks))
@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_decoding_step_by_step_equals_one_pass(mixer: str, block: str, channel: str) -> None:
    _, model = built(f"mixer={mixer}", f"block={block}", f"channel={channel}")
    tokens = torch.randint(17, (2, 20))
    wanted, state = model.features(tokens), model.initial_state(2)
    for t, column in enumerate(tokens.unbind(1)):
        x, state = model.step(column, state)
        torch.testing.assert_close(x, wanted[:, t], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("position", list(SHELVES.positions))
def test_every_position_acts_and_decodes_alike(position: str) -> None:
    _, model = built("mixer=attention", f"position={position}")
    tokens = torch.randint(17, (1, 20))
    wanted, state = model.features(tokens), model.initial_state(1)
    for t, column in enumerate(tokens.unbind(1)):
        x, state = model.step(column, state)
        torch.testing.assert_close(x, wanted[:, t], rtol=1e-4, atol=1e-4)
    # two equal tokens: without a position, causal attention cannot tell the second from the first
    twice = model.features(torch.tensor([[3, 3, 3, 3]]))
    same = torch.allclose(twice[:, 0], twice[:, 3], atol=1e-5)
    # equal values average to themselves, whatever the scores
    assert same == (SHELVES.positions[position].place != "embedding")


def test_order_reaches_attention_through_rope_and_not_without() -> None:
    tokens, swapped = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[2, 1, 3, 4]])
    for position, differs in (("rope", True), ("none", False)):
        _, model = built("mixer=attention", f"position={position}", "depth=1")
        first, second = (model.features(x)[:, -1] for x in (tokens, swapped))
        assert torch.allclose(first, second, atol=1e-6) != differs


def test_a_hybrid_cycles_its_pattern_with_options_of_each() -> None:
    pattern = "pattern=[mamba,mamba,{attention:{heads:2}}]"
    one, model = built("mixer=hybrid", pattern, "depth=5")
    kinds = [type(block.mixer).__name__ for block in model.layers]
    assert kinds == ["Mamba", "Mamba", "Attention", "Mamba", "Mamba"]
    assert model.layers[2].mixer.heads == 2
    assert one.name.startswith("copy/hybrid/")
    assert model(torch.randint(17, (1, 9))).shape == (1, 9, one.task.outputs)


def test_a_position_that_no_mixer_takes_is_refused_with_those_it_can() -> None:
    with pytest.raises(
        zoo.ZooError, match=r"rope acts on the query_key.*mamba cannot.*learned, no"
    ):
        planned("mixer=mamba", "position=rope")
    planned("mixer=hybrid", "pattern=[mamba,attention]", "position=rope")  # attention takes it


def test_direction_is_the_tasks_then_the_mixers() -> None:
    assert planned("mixer=attention").config["direction"] == "causal"
    listops = ["task=lra/listops", "budget=smoke"]
    assert planned("mixer=attention", base=listops).config["direction"] == "bidirectional"
    assert planned("mixer=mamba", base=listops).config["direction"] == "causal"
    pattern = ["mixer=hybrid", "pattern=[mamba,attention]"]
    assert planned(*pattern, base=listops).config["direction"] == "causal"
    both = planned("mixer=mamba", "direction=bidirectional", base=listops)
    assert both.config["direction"] == "wrapped"
    again = planned("mixer=attention", "direction=wrapped", base=listops)
    assert again.config["direction"] == "bidirectional"  # nothing to wrap
    with pytest.raises(zoo.ZooError, match="predicted left to right"):
        planned("mixer=attention", "direction=bidirectional")


@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_padding_never_changes_a_logit(mixer: str) -> None:
    one = planned(f"mixer={mixer}", base=["task=lra/listops", "budget=smoke", "dim=16", "depth=2"])
    torch.manual_seed(0)
    model = one.build().eval()
    tokens, lengths = torch.randint(1, 15, (3, 40)), torch.tensor([40, 17, 1])
    logits = model(tokens, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(tokens[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone, logits[row : row + 1], rtol=1e-4, atol=1e-5)
        tokens[row, length:] = 0
    torch.testing.assert_close(model(tokens, lengths), logits, rtol=1e-4, atol=1e-5)


def test_weight_decay_spares_vectors_embeddings_and_what_a_mixer_names() -> None:
    _, model = built("mixer=mamba")
    decayed = {
        id(p)
        for group in model.parameter_groups(1e-3, 0.1)
        if group["weight_decay"]
        for p in group["params"]  # type: ignore[attr-defined]
    }
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert "blocks.0.mixer.in_proj.weight" in names
    assert "head.linear.weight" in names
    assert not [n for n in names if n.endswith(("bias", "norm.weight", "A_log", ".D"))]
    assert "embed.weight" not in names
    every = [p for group in model.parameter_groups(1e-3, 0.1) for p in group["params"]]  # type: ignore[attr-defined]
    assert len(every) == len(list(model.parameters()))


def test_a_mixer_names_its_learning_rates() -> None:
    for mixer, parameter, right in (("lru", "nu_log", 2e-3), ("s5", "log_step", 1e-3)):
        _, model = built(f"mixer={mixer}")
        groups = model.parameter_groups(4e-3, 0.1)
        rates = {id(p): g["lr"] for g in groups for p in g["params"]}  # type: ignore[attr-defined]
        found = dict(model.named_parameters())
        assert rates[id(found[f"blocks.0.mixer.{parameter}"])] == right
        assert rates[id(found["head.linear.weight"])] == 4e-3
        assert not any("lr_scale" in group for group in groups), "AdamW would refuse it"


def test_learned_positions_are_not_decayed() -> None:
    _, model = built("mixer=attention", "position=learned")
    (group,) = [g for g in model.parameter_groups(1e-3, 0.1) if g["weight_decay"]]
    assert model.position is not None
    table = next(model.position.parameters())
    assert not any(p is table for p in group["params"])  # type: ignore[attr-defined]


def test_closed_forms_add_up_over_layers() -> None:
    _, model = built("mixer=attention")
    state = model.initial_state(1)
    for column in torch.randint(17, (1, 12)).unbind(1):
        _, state = model.step(column, state)
    assert state_bytes(state) == 4 * model.state_size(12)


def test_a_view_hides_no_memory_of_a_state() -> None:
    assert state_bytes([torch.zeros(100)[:1]]) == 400
    whole = torch.zeros(100)
    assert state_bytes([whole[:50], whole[50:]]) == 400


@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_flops_of_the_whole_model_match_torchs_counter(mixer: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    one = planned(f"mixer={mixer}")
    with torch.device("meta"):
        model, tokens = one.build(), torch.zeros(2, 256, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(tokens)
    assert model.flops(2, 256).matmul == pytest.approx(counter.get_total_flops(), rel=0.02)


class Waves(zoo.Task):
    """Real inputs (b, l, f): which of two frequencies does a series have?"""

    inputs, outputs, max_length, real, budget = 3, 2, 20, True, "smoke"

    def recipe(self) -> zoo.Recipe:
        return zoo.Recipe(dim=16, depth=2, steps=2, batch_size=2, lr=1e-3)

    def head(self, dim: int) -> zoo.Head:
        return zoo.PooledHead(dim, self.outputs, "last")

    def train_batch(self, seed: int, step: int, batch_size: int) -> zoo.Batch:
        source = torch.Generator().manual_seed(seed + step)
        targets = torch.randint(2, (batch_size,), generator=source)
        time = torch.linspace(0, 6, self.max_length)[:, None] + torch.arange(self.inputs)
        return zoo.Batch(torch.sin((targets + 1)[:, None, None] * time), targets)

    def batches(
        self, split: zoo.Split, batch_size: int, length: int | None = None
    ) -> Iterator[zoo.Batch]:
        yield self.train_batch(10**6 + len(split), 0, batch_size)

    def identity(self) -> dict[str, object]:
        return {"generator": "waves"}


@pytest.mark.parametrize("mixer", list(SHELVES.mixers))
def test_real_inputs_go_through_a_linear_map_and_decode_alike(mixer: str) -> None:
    one = planned(f"mixer={mixer}", "depth=2")
    task = Waves()
    torch.manual_seed(0)
    model = Builder(SHELVES, one.config, task, causal=True).backbone().eval()
    batch = task.train_batch(0, 0, 4)
    logits = model(batch.inputs)
    assert logits.shape == (4, 2)
    torch.autograd.backward(task.score(logits, batch)["loss"].mean)
    assert model.embed.weight.shape == (16, 3)
    assert model.embed.weight.grad is not None
    wanted, state = model.features(batch.inputs), model.initial_state(4)
    for t, row in enumerate(batch.inputs.unbind(1)):
        x, state = model.step(row, state)
        torch.testing.assert_close(x, wanted[:, t], rtol=1e-4, atol=1e-4)


def test_a_real_task_is_counted_with_its_linear_map() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        one = planned("mixer=attention", "depth=2")
        model = Builder(SHELVES, one.config, Waves(), causal=True).backbone()
        inputs = torch.zeros(2, 20, 3)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs)
    assert model.flops(2, 20).matmul == counter.get_total_flops()
