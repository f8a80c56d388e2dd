"""The pieces of training: rate, clipping, batches by step, checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import zoo
from zoo import registry
from zoo.checkpoint import KEEP, AtomicCheckpointIO, checkpoints, load, save, step_of
from zoo.config import resolve
from zoo.plan import Plan, plan
from zoo.task import Recipe
from zoo.train import From, Steps, Trainee, loggers, rate


def planned(*words: str) -> Plan:
    shelves = registry.load()
    base = ["task=copy", "mixer=mamba", "budget=smoke", "dim=8", "depth=1"]
    (config,) = resolve(shelves, [*base, *words], multirun=False)
    return plan(shelves, config)


def test_the_rate_rises_linearly_then_falls_as_a_cosine_to_nothing() -> None:
    recipe = Recipe(dim=1, depth=1, steps=100, batch_size=1, lr=1.0, warmup=0.1)
    rates = [rate(recipe, step) for step in range(101)]
    assert rates[:10] == pytest.approx([(k + 1) / 11 for k in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_constant_rate_stays() -> None:
    recipe = Recipe(dim=1, depth=1, steps=50, batch_size=1, lr=1.0, warmup=0.0, schedule="constant")
    assert {rate(recipe, step) for step in range(50)} == {1.0}


def test_a_line_falls_to_nothing_and_an_inverse_root_by_half_in_four_times_the_steps() -> None:
    recipe = Recipe(dim=1, depth=1, steps=100, batch_size=1, lr=1.0, warmup=0.1, schedule="linear")
    assert [rate(recipe, k) for k in (10, 55, 100)] == pytest.approx([1.0, 0.5, 0.0])
    recipe = replace(recipe, schedule="rsqrt", steps=1000, warmup=0.099)  # full at step 100
    assert [rate(recipe, k) for k in (99, 399, 899)] == pytest.approx([1.0, 1 / 2, 1 / 3])


def test_a_warmup_longer_than_training_never_arrives() -> None:
    recipe = Recipe(dim=1, depth=1, steps=100, batch_size=1, lr=1.0, warmup=1.6, schedule="rsqrt")
    assert rate(recipe, 99) == pytest.approx(100 / 161)


def test_decay_on_all_reaches_vectors_and_embeddings_but_not_what_a_mixer_keeps_out() -> None:
    one = planned()
    model = one.build()
    kept = {id(model.get_parameter("blocks.0.mixer.A_log"))}
    for decay, wanted in (("matrices", 0.0), ("all", 0.1)):
        groups = model.parameter_groups(1e-3, 0.1, decay)  # type: ignore[arg-type]
        decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}  # type: ignore[attr-defined]
        assert decays[id(model.norm.weight)] == decays[id(model.embed.weight)] == wanted
        assert {decays[p] for p in kept} == {0.0}


def test_beta2_is_the_recipes() -> None:
    one = planned("beta2=0.9")
    (optimizer,), _ = Trainee(one.build(), one.task, one.recipe).configure_optimizers()
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.9)}


def test_gradients_are_clipped_by_their_common_norm() -> None:
    one = planned()
    trainee = Trainee(one.build(), one.task, one.recipe)
    for parameter in trainee.parameters():
        parameter.grad = torch.full_like(parameter, 10.0)
    before = torch.cat([p.grad.flatten() for p in trainee.parameters() if p.grad is not None])
    (optimizer,), _ = trainee.configure_optimizers()
    trainee.configure_gradient_clipping(optimizer, 0.5)
    after = torch.cat([p.grad.flatten() for p in trainee.parameters() if p.grad is not None])
    assert after.norm() == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(after / after.norm(), before / before.norm())


def test_the_optimizer_gets_the_recipes_rate_and_the_mixers_settings() -> None:
    one = planned("lr=0.02", "weight_decay=0.3")
    (optimizer,), _ = Trainee(one.build(), one.task, one.recipe).configure_optimizers()
    assert {group["initial_lr"] for group in optimizer.param_groups} == {0.02}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.3}


def test_batches_go_on_from_any_step_and_the_length_stays() -> None:
    one = planned()
    steps = Steps(one.task, 0, 9, 4)
    assert list(From(6, 9)) == [6, 7, 8]
    assert len(From(6, 9)) == len(steps) == 9
    again = Steps(planned().task, 0, 9, 4)
    assert torch.equal(steps[7].inputs, again[7].inputs)
    assert not torch.equal(steps[7].inputs, steps[8].inputs)


def test_a_checkpoints_name_holds_its_checksum(tmp_path: Path) -> None:
    path = save({"a": torch.arange(3)}, tmp_path / "step-12.ckpt")
    assert step_of(path) == 12
    assert torch.equal(load(path)["a"], torch.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(zoo.DataError, match="damaged"):
        load(path)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (2, 30, 4):
        AtomicCheckpointIO().save_checkpoint({"step": step}, tmp_path / f"step-{step}.ckpt")
    assert [step_of(path) for path in checkpoints(tmp_path)] == [30, 4][:KEEP]


def test_an_unknown_logger_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(zoo.ZooError, match="did you mean 'tensorboard'"):
        loggers(["tensorbord"], tmp_path, planned())


def test_csv_and_tensorboard_write_beside_each_other_and_each_attempt_anew(tmp_path: Path) -> None:
    for attempt in range(2):
        made = loggers(["csv", "tensorboard"], tmp_path, planned())
        for logger in made:
            logger.log_metrics({"loss": 1.0}, step=1)
            logger.save()
            logger.finalize("success")
        names = {p.name.split(".")[0] for p in (tmp_path / f"logs/attempt-{attempt}").iterdir()}
        assert {"metrics", "events"} <= names
