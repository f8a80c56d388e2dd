"""ListOps as a task: batches, budgets, identity, text."""

from collections import Counter
from pathlib import Path

import pytest
import torch

import zoo
from zoo_lra import generated, listops
from zoo_lra.listops import END, VOCABULARY, ListOps
from zoo_lra.protocols import Protocol

PADDING = len(VOCABULARY)
PROTOCOLS: list[Protocol] = ["tay-repo", "s4"]


@pytest.fixture(scope="module")
def task() -> ListOps:
    made = ListOps(budget="smoke")
    made.prepare()
    return made


def expressions(task: ListOps, batch: zoo.Batch) -> list[str]:
    assert batch.lengths is not None
    pairs = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
    return [task.text(row[:length]) for row, length in pairs]


def by_root(task: ListOps, split: zoo.Split) -> list[tuple[int, int]]:
    """(operator, answer) of every example."""
    return [
        pair
        for batch in task.batches(split, 100)
        for pair in zip(batch.inputs[:, 0].tolist(), batch.targets.tolist(), strict=True)
    ]


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batch_is_right_padded_to_a_multiple_of_eight(task: ListOps, batch_size: int) -> None:
    batch = task.train_batch(0, 0, batch_size)
    assert batch.lengths is not None
    width = batch.inputs.shape[1]
    assert batch.inputs.shape == (batch_size, width)
    assert width % 8 == 0
    assert 0 <= width - int(batch.lengths.max()) < 8
    assert width <= task.max_length
    for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True):
        assert 500 < length < 2000
        assert (row[:length] < PADDING).all()
        assert (row[length:] == PADDING).all()
        assert int(row[length - 1]) == 14  # the root's closer


def test_batches_hold_the_split_in_order_with_its_labels(task: ListOps) -> None:
    test = task.expressions["test"]
    labels: list[int] = []
    tokens: list[int] = []
    for batch in task.batches("test", 7):
        assert batch.lengths is not None
        labels += batch.targets.tolist()
        for row, length in zip(batch.inputs, batch.lengths.tolist(), strict=True):
            tokens += row[:length].tolist()
    assert labels == test.labels.tolist()
    assert tokens == test.tokens.tolist()
    assert len(labels) == 200


def test_epoch_shows_every_training_example_once(task: ListOps) -> None:
    shown: Counter[str] = Counter()
    for step in range(20):
        shown.update(expressions(task, task.train_batch(4, step, 50)))
    assert len(shown) == 1000
    assert set(shown.values()) == {1}


def test_batch_is_a_pure_function_of_seed_and_step(task: ListOps) -> None:
    fresh = ListOps(budget="smoke", workers=2).train_batch(1, 2, 3)
    assert torch.equal(task.train_batch(1, 2, 3).inputs, fresh.inputs)
    drawn = {str(expressions(task, task.train_batch(s, t, 3))) for s in (0, 1) for t in (0, 1)}
    assert len(drawn) == 4


def test_smaller_budget_tests_on_the_first_of_the_larger(task: ListOps) -> None:
    larger = next(ListOps(budget="gpu").batches("test", 200))
    (smaller,) = task.batches("test", 200)
    assert expressions(task, smaller) == expressions(task, larger)
    assert torch.equal(smaller.targets, larger.targets)


def test_identity_knows_data_and_budget_but_not_workers() -> None:
    ids = [ListOps(), ListOps(data_seed=1), ListOps(budget="smoke"), ListOps(budget="paper")]
    assert len({task.id for task in ids}) == len(ids)
    assert ListOps(workers=3).id == ListOps().id


def test_provenance_is_the_hash_of_the_examples(task: ListOps) -> None:
    here, again = task.provenance(), ListOps(budget="smoke").provenance()
    other = ListOps(budget="smoke", data_seed=1).provenance()
    assert here == again
    assert here["sha256"] != other["sha256"]


def test_text_reads_as_an_expression(task: ListOps) -> None:
    assert task.text([11, 3, 10, 7, 8, 14, 2, 14, 15, 15]) == "[MAX 3 [MIN 7 8 ] 2 ]"
    assert task.text([12, 13, 0, 9, 14, 1, 14]) == "[MED [SM 0 9 ] 1 ]"


def test_chance_is_the_best_answer_to_each_root_operator() -> None:
    task = ListOps(budget="cpu")
    answers: dict[int, Counter[int]] = {}
    for root, answer in by_root(task, "train"):
        answers.setdefault(root, Counter())[answer] += 1
    best = {root: counts.most_common(1)[0][0] for root, counts in answers.items()}
    assert [best[root] for root in (10, 11, 12)] == [0, 9, 4]  # MIN, MAX, MED
    right = [best[root] == answer for root, answer in by_root(task, "test")]
    assert task.chance == {"accuracy": pytest.approx(sum(right) / len(right))}
    assert task.chance["accuracy"] == pytest.approx(0.36, abs=0.046)  # 3 sigma of 1000


def test_head_reads_the_first_and_the_last_real_position_only(task: ListOps) -> None:
    head = task.head(6)
    x = torch.randn(2, 9, 6, requires_grad=True)
    logits = head(x, torch.tensor([9, 5]))
    assert logits.shape == (2, 10)
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    read = (gradient != 0).any(-1).nonzero().tolist()
    assert read == [[0, 0], [0, 8], [1, 0], [1, 4]]
    assert torch.equal(head(x[:1], None), head(x[:1], torch.tensor([9])))
    swapped = x[:1].flip(1)
    assert not torch.allclose(head(swapped, None), head(x[:1], None))


def test_head_lets_one_end_decide_what_the_other_means(task: ListOps) -> None:
    head = task.head(6)
    one, two, this, that = torch.randn(4, 6)
    ends = [torch.stack([first, last]) for first in (one, two) for last in (this, that)]
    a, b, c, d = head(torch.stack(ends), None)
    assert (a - b - c + d).abs().max() > 1e-3  # zero for any head that adds them


def test_head_alone_tells_the_root_operators_apart(task: ListOps) -> None:
    """What ``chance`` says of the head: without any mixing it can score that much."""
    batch = task.train_batch(0, 0, 64)
    assert batch.lengths is not None
    head = task.head(16).double()
    x = torch.nn.functional.one_hot(batch.inputs, 16).double()
    roots = torch.stack([x[:, 0], x[torch.arange(64), batch.lengths - 1]], dim=1)
    alone = head(x, batch.lengths)
    for row, other in zip(alone, head(roots, None), strict=True):
        assert torch.allclose(row, other)
    assert len(alone.unique(dim=0)) == 4


def test_end_token_follows_every_expression_under_s4(task: ListOps) -> None:
    ended = ListOps(budget="smoke", protocol="s4")
    pairs = zip(task.batches("test", 50), ended.batches("test", 50), strict=True)
    for plain, longer in pairs:
        assert expressions(task, plain) == expressions(ended, longer)
        assert plain.lengths is not None
        assert longer.lengths is not None
        assert torch.equal(longer.lengths, plain.lengths + 1)
        assert (longer.inputs.gather(1, longer.lengths[:, None] - 1) == END).all()
        assert (longer.inputs == END).sum() == len(longer.inputs)
    assert ended.inputs == task.inputs + 1


def test_chance_is_the_commonest_answer_where_the_head_reads_no_operator(task: ListOps) -> None:
    train, test = task.expressions["train"].labels, task.expressions["test"].labels
    commonest = Counter(train.tolist()).most_common(1)[0][0]
    for protocol in PROTOCOLS:
        chance = ListOps(budget="smoke", protocol=protocol).chance["accuracy"]
        assert chance == pytest.approx((test == commonest).mean())
    assert task.chance["accuracy"] > (test == commonest).mean()


def test_every_protocol_shows_the_same_expressions(task: ListOps) -> None:
    for protocol in PROTOCOLS:
        other = ListOps(budget="smoke", protocol=protocol)
        assert (
            other.expressions["train"].tokens.tolist() == task.expressions["train"].tokens.tolist()
        )


def test_release_is_read_from_the_users_folder_and_is_another_task(tmp_path: Path) -> None:
    source = "( ( ( ( [MAX 3 ) ( ( ( [MIN 7 ) 8 ) ] ) ) 2 ) ] )"
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        lines = [f"{source}\t7" for _ in range(count)]
        table = "\n".join(["Source\tTarget", *lines, ""])
        (tmp_path / f"basic_{split}.tsv").write_text(table)
    task = ListOps(budget="smoke", data="release", root=str(tmp_path))
    assert task.missing() is None
    assert [len(task.splits[s].labels) for s in ("train", "valid", "test")] == [3, 1, 2]
    batch = next(task.batches("test", 2))
    assert expressions(task, batch) == ["[MAX 3 [MIN 7 8 ] 2 ]"] * 2
    assert batch.targets.tolist() == [7, 7]
    assert task.provenance()["source"] == "the user's copy"
    official = ListOps(budget="smoke", data="release", root=str(tmp_path / "nowhere"))
    assert len({task.id, official.id, ListOps(budget="smoke").id}) == 3


def test_release_that_is_not_here_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    task = ListOps(budget="smoke", data="release")
    assert ListOps(budget="smoke").missing() is None
    assert "zoo data fetch lra-release" in str(task.missing())
    with pytest.raises(zoo.DataError, match="zoo data fetch lra-release"):
        task.prepare()


def test_expressions_that_were_fetched_are_those_that_are_generated(
    task: ListOps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    asked = {split: len(rows.labels) for split, rows in task.expressions.items()}
    monkeypatch.setattr(generated, "LISTOPS", asked)
    generated.LISTOPS_FILES.fetch()
    monkeypatch.setattr(listops, "generate", None)  # whoever generates now fails
    kept = ListOps(budget="smoke")
    assert kept.provenance() == task.provenance()
    assert torch.equal(kept.train_batch(0, 0, 5).inputs, task.train_batch(0, 0, 5).inputs)


def test_grid_length_is_refused(task: ListOps) -> None:
    with pytest.raises(zoo.ZooError, match="no grid of lengths; it was asked for 8"):
        next(task.batches("test", 4, length=8))


def test_expressions_are_shorter_at_cpu_and_where_the_user_says() -> None:
    task = ListOps(budget="cpu")
    lengths = torch.cat([b.lengths for b in task.batches("valid", 500) if b.lengths is not None])
    assert 31 < int(lengths.min()) <= int(lengths.max()) < 125
    assert task.max_length == 125
    other = ListOps(budget="smoke", length=40)
    (batch,) = other.batches("valid", 50)
    assert batch.lengths is not None
    assert 10 < int(batch.lengths.min()) <= int(batch.lengths.max()) < 40
    assert len({one.id for one in (other, ListOps(budget="smoke"), task)}) == 3
    with pytest.raises(zoo.ZooError, match=r"lengths they have.*task\.data=generated"):
        ListOps(budget="smoke", data="release", length=40)
