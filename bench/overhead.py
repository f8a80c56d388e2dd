"""What our training step costs over a bare PyTorch loop: same model, same batches, same process.

    python bench/overhead.py [--rounds 5] [--steps 24] [mixer ...]

Ours is the whole of it: Lightning, step-keyed randomness, logs, progress, the finite check. The
bare loop draws a batch, goes forward and backward, clips and steps the same AdamW. Both take turns;
the figure is the median over the rounds of the ratio within a round.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from zoo import registry
from zoo.config import resolve
from zoo.model import Backbone
from zoo.plan import Plan, plan
from zoo.progress import Progress
from zoo.signals import Stop
from zoo.train import Trained, Trainee, train

COLD = 2  # steps that neither side counts


def ours(one: Plan, model: Backbone) -> float:
    """Tokens per second of our training."""
    with tempfile.TemporaryDirectory() as folder, Stop() as stop:
        progress = Progress("bench", one.recipe.steps)
        progress.console.quiet = True
        trained = Trained()
        train(one, model, Path(folder), stop, progress, trained)
    assert trained.tokens_per_s is not None
    return trained.tokens_per_s


def bare(one: Plan, model: Backbone) -> float:
    """Tokens per second of the loop that anyone would write."""
    recipe, task = one.recipe, one.task
    (optimizer,), (schedule,) = Trainee(model, task, recipe).configure_optimizers()
    scheduler = schedule["scheduler"]
    model.train()
    tokens, since = 0, time.perf_counter()
    for step in range(recipe.steps):
        if step == COLD:
            tokens, since = 0, time.perf_counter()
        batch = task.train_batch(one.config["seed"], step, recipe.batch_size)
        tokens += batch.real_positions
        loss = task.score(model(batch.inputs, batch.lengths), batch)["loss"].mean
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        scheduler.step()
    return tokens / (time.perf_counter() - since)


def main() -> None:
    """Print a line per mixer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mixers", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    asked = parser.parse_args()
    shelves = registry.load()
    mixers = asked.mixers or ["attention", "sliding", "linear_attention", "mamba"]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, lra/listops at smoke")
    print(f"{'mixer':18} {'bare tok/s':>11} {'ours tok/s':>11} {'time ratio':>11}  per round")
    for mixer in mixers:
        words = ["task=lra/listops", f"mixer={mixer}", "budget=smoke", f"steps={asked.steps}"]
        (config,) = resolve(shelves, [*words, "evaluate_every=10000"], multirun=False)
        one = plan(shelves, config)
        one.task.prepare()
        rounds = []
        for _ in range(asked.rounds + 1):
            torch.manual_seed(0)
            first = bare(one, one.build())
            torch.manual_seed(0)
            rounds.append((first, ours(one, one.build())))
        rounds = rounds[1:]  # the first warms both
        ratios = [b / o for b, o in rounds]
        rates = median(b for b, _ in rounds), median(o for _, o in rounds)
        each = " ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"{mixer:18} {rates[0]:11,.0f} {rates[1]:11,.0f} {median(ratios):11.3f}  {each}")


if __name__ == "__main__":
    main()
