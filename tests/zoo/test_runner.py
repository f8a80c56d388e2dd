"""Runs end to end: what is recorded, what stops them, and that they go on as if never stopped."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo import registry, runner
from zoo.callbacks import Course
from zoo.checkpoint import checkpoints, load, newest_good, save
from zoo.config import resolve
from zoo.errors import Killed
from zoo.evaluate import evaluate
from zoo.plan import Plan, plan
from zoo.record import Record
from zoo.signals import Stop
from zoo.task import Batch, Tally
from zoo_synthetic.copying import Copy

SMALL = [
    "task=copy",
    "task.test_length=32",
    "mixer=mamba",
    "mixer.state=4",
    "budget=smoke",
    "dim=8",
    "depth=1",
    "steps=10",
    "batch_size=4",
    "evaluate_every=4",
    "block.dropout=0.2",
    "loggers=[csv]",
]

CHANCELESS = ("loss", "exact")  # nobody says what guessing scores there


def planned(*more: str) -> Plan:
    registry_ = registry.load()
    own = {word.partition("=")[0] for word in more}
    kept = [word for word in SMALL if word.partition("=")[0] not in own]
    (config,) = resolve(registry_, [*kept, *more], multirun=False)
    return plan(registry_, config)


def weights(folder: Path) -> dict[str, Tensor]:
    (path,) = folder.glob("weights.*.pt")
    return dict(load(path)["model"])


def interrupt(monkeypatch: pytest.MonkeyPatch, step: int, signum: int) -> None:
    """Send this process a signal while it makes the batch of one step, once."""
    draw = Copy.train_batch
    sent: list[int] = []

    def train_batch(self: Copy, seed: int, at: int, batch_size: int) -> Batch:
        if at == step and not sent:
            sent.append(at)
            os.kill(os.getpid(), signum)
        return draw(self, seed, at, batch_size)

    monkeypatch.setattr(Copy, "train_batch", train_batch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """One run that nothing disturbs."""
    runs = tmp_path_factory.mktemp("whole")
    one = planned()
    record, code = runner.execute(one, runs)
    assert code == 0
    return record, runs / one.name


def test_a_record_has_every_field(whole: tuple[Record, Path]) -> None:
    record, folder = whole
    assert record.status == "ok"
    assert record.failure is None
    assert record.task.name == "copy"
    assert record.task.budget == "smoke"
    assert record.mixer.name == "mamba"
    assert record.mixer.options["state"] == 4
    assert record.mixer.kernel == "numba"
    assert record.mixer.family == "ssm"
    assert record.steps == 10
    assert record.tokens > 0
    assert record.headline == "accuracy"
    for name in ("loss", "accuracy", "exact"):
        assert record.metrics[name].split == "test"
        assert record.metrics[name].n > 0
        assert record.metrics[f"valid_{name}"].split == "valid"
    assert not record.metrics["loss"].higher_is_better
    assert record.metrics["accuracy"].chance == pytest.approx(1 / 16)
    assert list(record.curve) == [8, 16, 32]
    cost = record.efficiency
    assert cost.params
    assert cost.flops_per_token.closed_form
    assert cost.flops_per_token.counted
    assert cost.flops_per_token.uncounted
    assert cost.train_tokens_per_s
    assert cost.peak_memory_bytes is not None or record.missing["efficiency.peak_memory_bytes"]
    assert set(cost.forward_ms) == {256, 1024}
    assert cost.decode_ms_per_token
    assert set(cost.state_bytes) == {64, 256}
    assert record.env.device
    assert record.env.plugins["mixer-zoo"] == "0.1.0"
    assert record.data.source == "generated"
    assert record.config["mixer"]["state"] == 4
    reasons = {"env.commit", "env.dirty", "data.sha256", "efficiency.peak_memory_bytes"}
    reasons |= {f"metrics.{split}{name}.chance" for split in ("", "valid_") for name in CHANCELESS}
    assert record.missing.keys() <= reasons
    assert (folder / "record.json").exists()
    assert not (folder / "checkpoints").exists()
    assert (folder / "logs" / "attempt-0" / "metrics.csv").exists()


def test_the_recorded_weights_are_those_of_the_best_step(whole: tuple[Record, Path]) -> None:
    record, folder = whole
    one = planned()
    model = one.build()
    model.load_state_dict(weights(folder))
    again = evaluate(model, one.task, "test", one.recipe.batch_size)
    assert again["accuracy"].value == record.metrics["accuracy"].value
    assert again["loss"].value == record.metrics["loss"].value


def test_the_best_step_on_validation_is_the_one_that_is_tested(whole: tuple[Record, Path]) -> None:
    record, folder = whole
    rows = (folder / "logs" / "attempt-0" / "metrics.csv").read_text().splitlines()
    header, *body = [row.split(",") for row in rows]
    column = header.index("valid/accuracy")
    scores = [float(row[column]) for row in body if row[column]]
    assert len(scores) == 3  # at 4, 8 and 10
    assert len(set(scores)) > 1
    assert record.metrics["valid_accuracy"].value == pytest.approx(max(scores), abs=1e-6)


def test_the_course_of_training_is_recorded(whole: tuple[Record, Path]) -> None:
    record, folder = whole
    rows = (folder / "logs" / "attempt-0" / "metrics.csv").read_text().splitlines()
    header, *body = [row.split(",") for row in rows]

    def logged(name: str) -> dict[int, float]:
        column, step = header.index(name), header.index("step")
        return {int(row[step]): float(row[column]) for row in body if row[column]}

    assert list(record.losses) == list(range(1, 11))  # all of them: a short run
    for step, loss in logged("train/loss").items():
        assert record.losses[step] == pytest.approx(loss, abs=1e-5)
    assert record.validated == pytest.approx(logged("valid/accuracy"), abs=1e-6)
    assert record.best_step == max(record.validated, key=lambda step: record.validated[step])


def test_a_long_course_is_told_by_means_over_stretches() -> None:
    part = Course(1000)
    for step in range(1, 1001):
        trainer: Any = SimpleNamespace(global_step=step)
        part.after(trainer, torch.tensor(float(step % 10)))
        if step == 555:  # in the middle of a stretch
            again = Course(1000)
            again.load_state_dict(part.state_dict())
            part = again
    assert list(part.losses) == list(range(10, 1001, 10))
    assert set(part.losses.values()) == {4.5}


def test_the_end_of_a_course_is_told_and_what_is_no_number_is_left_out() -> None:
    part = Course(1005)
    for step in range(1, 1006):
        trainer: Any = SimpleNamespace(global_step=step)
        part.after(trainer, torch.tensor(float("inf") if step == 15 else 2.0))
    assert list(part.losses) == [10, *range(30, 1001, 10), 1005]
    assert set(part.losses.values()) == {2.0}


def test_a_checkpoint_of_before_there_was_a_course_is_taken_up(
    whole: tuple[Record, Path], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, 6, signal.SIGTERM)
    runner.execute(planned(), runs)
    folder = runs / planned().name / "checkpoints"
    (path,) = folder.glob("step-7.*.ckpt")
    old = load(path)
    parts = old["callbacks"]["Conductor"]
    del parts["Course"], parts["Validation"]["values"]
    path.unlink()
    save(old, folder / "step-7.ckpt")
    record, code = runner.execute(planned(), runs)
    assert (record.status, code) == ("ok", 0)
    assert record.metrics == whole[0].metrics
    assert list(record.losses) == [8, 9, 10]


def test_less_is_better_where_the_task_says_so(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copy, "headline", "loss")
    record, _ = runner.execute(planned("lr=0.1"), runs)
    rows = next((runs / planned("lr=0.1").name).glob("logs/*/metrics.csv")).read_text().splitlines()
    header, *body = [row.split(",") for row in rows]
    losses = [float(r[header.index("valid/loss")]) for r in body if r[header.index("valid/loss")]]
    assert len(set(losses)) > 1
    assert record.metrics["valid_loss"].value == pytest.approx(min(losses), abs=1e-5)


def test_the_curve_is_the_headline_at_each_length(whole: tuple[Record, Path]) -> None:
    record, folder = whole
    one = planned()
    model = one.build()
    model.load_state_dict(weights(folder))
    for length, value in record.curve.items():
        scores = evaluate(model, one.task, "test", one.recipe.batch_size, length=length)
        assert scores["accuracy"].value == value
    assert len(set(record.curve.values())) > 1


def test_every_step_has_randomness_of_its_own_and_again_the_same() -> None:
    from types import SimpleNamespace

    from zoo.callbacks import Rekey

    def drawn(seed: int, step: int) -> float:
        Rekey(seed).before(SimpleNamespace(global_step=step))  # type: ignore[arg-type]
        return float(torch.rand(()))

    assert drawn(0, 1) == drawn(0, 1)
    assert len({drawn(0, 1), drawn(0, 2), drawn(1, 1)}) == 3


def test_a_mean_is_over_every_batch(whole: tuple[Record, Path]) -> None:
    one = planned()
    model = one.build()
    parts = evaluate(model, one.task, "test", 3)
    at_once = evaluate(model, one.task, "test", 1000)
    for name, score in parts.items():
        assert score.n == at_once[name].n
        assert score.value == pytest.approx(at_once[name].value, rel=1e-5)


def test_force_runs_again_and_loses_no_result_when_it_is_stopped(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = runner.execute(planned(), runs)
    with monkeypatch.context() as patch:
        interrupt(patch, 5, signal.SIGTERM)
        stopped, code = runner.execute(planned("force=true"), runs)
    assert (stopped.status, code) == ("killed", 143)
    kept, _ = runner.execute(planned(), runs)
    assert kept == first
    again, _ = runner.execute(planned("force=true"), runs)
    assert again.status == "ok"
    assert again.resumed == [6]
    assert again.metrics == first.metrics


def test_a_signal_while_measuring_is_no_result(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(plan: Plan, model: object, between: Callable[[], None]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        between()

    with monkeypatch.context() as patch:
        patch.setattr(runner, "efficiency", late)
        record, code = runner.execute(planned(), runs)
    assert (record.status, code) == ("killed", 143)
    assert record.failure is not None
    assert record.failure.phase == "measure"
    again, code = runner.execute(planned(), runs)
    assert (again.status, code, again.resumed) == ("ok", 0, [10])


def test_what_a_signal_breaks_is_still_a_kill(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("[enforce fail at inline_container.cc] unexpected pos")

    monkeypatch.setattr("zoo.checkpoint.torch.save", torn)
    record, code = runner.execute(planned(), runs)
    assert (record.status, code) == ("killed", 130)


def test_the_record_of_another_run_is_not_believed(whole: tuple[Record, Path], runs: Path) -> None:
    from zoo.record import write

    one = planned("seed=5")
    write(whole[0], runs / one.name / "record.json")
    with pytest.raises(zoo.DataError, match="move it out of the way"):
        runner.execute(one, runs)


def test_a_finished_run_is_not_run_again(
    whole: tuple[Record, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, folder = whole
    monkeypatch.setattr(runner, "train", lambda *_: pytest.fail("it trained"))
    again, code = runner.execute(planned(), folder.parents[2])
    assert (again, code) == (record, 0)


@pytest.mark.parametrize(
    ("step", "signum"), [(0, signal.SIGTERM), (4, signal.SIGINT), (9, signal.SIGUSR1)]
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    step: int,
    signum: int,
    whole: tuple[Record, Path],
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt(monkeypatch, step, signum)
    record, code = runner.execute(planned(), runs)
    assert record.status == "killed"
    assert code == 128 + signum
    assert record.failure is not None
    assert record.failure.phase == "train"
    again, code = runner.execute(planned(), runs)
    assert (again.status, code) == ("ok", 0)
    assert again.resumed == [step + 1]
    assert again.metrics == whole[0].metrics
    assert again.curve == whole[0].curve
    assert again.tokens == whole[0].tokens
    assert (again.losses, again.validated) == (whole[0].losses, whole[0].validated)
    assert again.best_step == whole[0].best_step
    before, after = weights(whole[1]), weights(runs / planned().name)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_seeds_give_other_bits(whole: tuple[Record, Path], runs: Path) -> None:
    record, _ = runner.execute(planned("seed=1"), runs)
    assert record.run_id != whole[0].run_id
    assert record.metrics["loss"].value != whole[0].metrics["loss"].value


def test_worker_processes_change_nothing(whole: tuple[Record, Path], runs: Path) -> None:
    record, _ = runner.execute(planned("workers=2"), runs)
    assert record.run_id == whole[0].run_id
    assert record.metrics == whole[0].metrics


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    whole: tuple[Record, Path],
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt(monkeypatch, 7, signal.SIGTERM)
    one = planned("checkpoint_every=3")
    runner.execute(one, runs)
    newest = checkpoints(runs / one.name / "checkpoints")[0]
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    record, _ = runner.execute(one, runs)
    assert record.resumed == [6]
    assert record.metrics == whole[0].metrics
    assert newest.name in capsys.readouterr().err


def test_without_a_good_checkpoint_it_does_not_start_over(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, 3, signal.SIGTERM)
    one = planned()
    runner.execute(one, runs)
    (only,) = checkpoints(runs / one.name / "checkpoints")
    only.write_bytes(only.read_bytes()[:-100])
    record, code = runner.execute(one, runs)
    assert (record.status, code) == ("failed", 3)
    assert record.failure is not None
    assert only.name in record.failure.message


def test_a_loss_that_is_no_number_is_a_divergence(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    score = Copy.score

    def poisoned(self: Copy, logits: Tensor, batch: Batch) -> dict[str, Tally]:
        calls.append(1)
        return score(self, logits * (float("nan") if len(calls) == 3 else 1), batch)

    monkeypatch.setattr(Copy, "score", poisoned)
    record, code = runner.execute(planned(), runs)
    assert (record.status, code) == ("diverged", 4)
    assert record.failure is not None
    assert "at step 3" in record.failure.message
    assert record.metrics == {}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("a bug"), "failed", 1),
        (torch.OutOfMemoryError("CUDA out of memory"), "oom", 5),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "oom", 5),
        (OSError(28, "No space left on device"), "failed", 6),
        (zoo.DataError("fetch it first"), "failed", 3),
    ],
    ids=str,
)
def test_whatever_happens_there_is_a_record_and_an_exit_code(
    error: BaseException, status: str, code: int, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Copy, seed: int, step: int, batch_size: int) -> Batch:
        raise error

    monkeypatch.setattr(Copy, "train_batch", fail)
    record, came = runner.execute(planned(), runs)
    assert (record.status, came) == (status, code)
    assert record.failure is not None
    assert record.failure.phase == "train"
    folder = runs / planned().name
    assert {p.name for p in folder.glob("*tmp")} == set()
    assert (folder / "traceback.txt").exists() == (code in (1, 5))


def test_a_second_signal_stops_at_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.signum == signal.SIGTERM
            with pytest.raises(Killed, match="at once") as caught:
                os.kill(os.getpid(), signal.SIGINT)
        assert caught.value.exit_code == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signum is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_two_at_the_same_run_is_an_error_for_the_second(runs: Path) -> None:
    from filelock import FileLock

    one = planned()
    (runs / one.name).mkdir(parents=True)
    with (
        FileLock(runs / one.name / "lock"),
        pytest.raises(zoo.ZooError, match="another process is at this run"),
    ):
        runner.execute(one, runs)


def test_zoo_run_takes_one_run(runs: Path) -> None:
    with pytest.raises(zoo.ZooError, match="several runs"):
        zoo.run("task=copy", "mixer=mamba,attention")


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    import pickle

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/owned",)

    path = save({"a": torch.ones(1)}, tmp_path / "step-1.ckpt")
    torch.save({"a": Payload()}, path)
    import hashlib

    checksum = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    path.rename(tmp_path / f"step-1.{checksum}.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        newest_good(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_score_that_is_no_number_is_null_with_a_reason(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Copy.score

    def poisoned(self: Copy, logits: Tensor, batch: Batch) -> dict[str, Tally]:
        scores = score(self, logits, batch)
        return {**scores, "exact": Tally.over(logits / 0)}

    monkeypatch.setattr(Copy, "score", poisoned)
    record, code = runner.execute(planned(), runs)
    assert (record.status, code) == ("ok", 0)
    assert record.metrics["exact"].value is None
    assert record.missing["metrics.exact"] == "it came out as nan"
    assert record.metrics["accuracy"].value is not None


def test_weights_that_the_last_step_ruins_are_a_divergence(runs: Path) -> None:
    record, code = runner.execute(planned("lr=1e30", "steps=1", "warmup=0"), runs)
    assert (record.status, code) == ("diverged", 4)


def test_a_record_of_a_failure_says_how_far_it_came_and_what_is_missing(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, 4, signal.SIGTERM)
    record, _ = runner.execute(planned(), runs)
    assert record.steps == 5
    assert record.tokens > 0
    assert {"metrics", "efficiency", "mixer.kernel"} <= record.missing.keys()


def test_a_full_disk_is_said_and_leaves_no_draft(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.checkpoint.os.fsync", full)
    with pytest.raises(zoo.ZooError, match=r"record\.json cannot be written") as caught:
        runner.execute(planned(), runs)
    assert caught.value.exit_code == 6
    left = [p.name for p in (runs / planned().name).rglob("*") if p.name.endswith("tmp")]
    assert not left


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(zoo.ZooError, match="point ZOO_RUNS to another folder"):
        runner.execute(planned(), tmp_path / "file")


@pytest.mark.parametrize("mixer", list(registry.load().mixers))
def test_every_mixer_trains_in_bf16(mixer: str, runs: Path) -> None:
    words = [word for word in SMALL if not word.startswith("mixer")]
    (config,) = resolve(
        registry.load(), [*words, f"mixer={mixer}", "precision=bf16"], multirun=False
    )
    record, _ = runner.execute(plan(registry.load(), config), runs)
    assert record.status == "ok", record.failure
    assert record.env.precision == "bf16"
    assert record.metrics["loss"].value is not None
    assert record.efficiency.state_bytes
    lacking = {field for field in record.missing if field.startswith("efficiency")}
    assert lacking <= {"efficiency.peak_memory_bytes"}
