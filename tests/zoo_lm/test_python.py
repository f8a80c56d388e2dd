"""Bytes of Python: windows of real text, split by file, scored in bits."""

import math
from hashlib import sha256
from pathlib import Path

import pytest
import torch

import zoo
from zoo_lm.corpus import read, split_of
from zoo_lm.python import Python


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty small files of different bytes, and some that must not be read."""
    for number in range(60):
        path = tmp_path / f"part{number % 3}" / f"file{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes((number * 7 + i * i) % 256 for i in range(40 + number)))
    for left_out in ("site-packages/a.py", "part1/tests/b.py", "_sysconfigdata_x.py", "notes.txt"):
        path = tmp_path / left_out
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret = 1\n" * 50)
    return tmp_path


def test_window_is_a_piece_of_the_text_and_targets_are_the_bytes_after(folder: Path) -> None:
    task = Python(root=str(folder), length=17)
    batch = task.train_batch(0, 3, 9)
    text = task.corpus.splits["train"].tobytes()
    assert batch.lengths is None
    assert batch.inputs.shape == batch.targets.shape == (9, 17)
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert bytes([*inputs, targets[-1]]) in text
        assert inputs[1:] == targets[:-1]


def test_training_windows_reach_both_ends(folder: Path) -> None:
    task = Python(root=str(folder), length=1)
    text = task.corpus.splits["train"]
    task.corpus.splits["train"] = text[:4]
    pairs = torch.stack(task.train_batch(0, 0, 300)[:2], -1).flatten(0, 1).tolist()
    assert {tuple(pair) for pair in pairs} == {(int(text[i]), int(text[i + 1])) for i in range(3)}


def test_held_out_windows_follow_one_another_to_the_end(folder: Path) -> None:
    task = Python(root=str(folder), length=10, budget="paper")
    for split in ("valid", "test"):
        text = task.corpus.splits[split].tobytes()
        inputs = torch.cat([batch.inputs for batch in task.batches(split, 4)])
        targets = torch.cat([batch.targets for batch in task.batches(split, 4)])
        assert len(text) - 11 < inputs.numel() < len(text)
        assert bytes(inputs.flatten().tolist()) == text[: inputs.numel()]
        assert bytes(targets.flatten().tolist()) == text[1 : inputs.numel() + 1]


def test_smaller_budget_takes_windows_from_all_over(folder: Path) -> None:
    small = Python(root=str(folder), length=3, budget="smoke")
    whole = Python(root=str(folder), length=3, budget="paper")
    some = torch.cat([batch.inputs for batch in small.batches("train", 5)])
    every = torch.cat([batch.inputs for batch in whole.batches("train", 5)])
    assert len(some) == 32 < len(every)
    assert torch.equal(some, every[torch.arange(32) * len(every) // 32])


def test_no_file_is_in_two_splits_and_none_is_lost(folder: Path) -> None:
    corpus = read(folder)
    files = sorted(folder.rglob("file*.py"), key=Path.as_posix)
    assert corpus.files == 60
    for split, text in corpus.splits.items():
        mine = [path for path in files if split_of(path.relative_to(folder)) == split]
        assert mine
        assert text.tobytes() == b"".join(path.read_bytes() for path in mine)


def test_split_of_a_file_is_the_hash_of_its_path() -> None:
    for path in (Path("json/decoder.py"), Path("ast.py")):
        part = int.from_bytes(sha256(path.as_posix().encode()).digest(), "big") % 20
        assert split_of(path) == {0: "test", 1: "valid"}.get(part, "train")


def test_batch_is_a_pure_function_of_seed_and_step(folder: Path) -> None:
    task = Python(root=str(folder), length=8)
    again = Python(root=str(folder), length=8).train_batch(1, 2, 8)
    assert torch.equal(task.train_batch(1, 2, 8).inputs, again.inputs)
    drawn = {task.train_batch(s, t, 8).inputs.numpy().tobytes() for s in (0, 1) for t in (0, 1)}
    assert len(drawn) == 4


@pytest.mark.parametrize("change", ["content", "name", "new"])
def test_another_text_is_another_task(folder: Path, change: str) -> None:
    before = Python(root=str(folder), length=8)
    file = folder / "part0" / "file0.py"
    assert Python(root=str(folder), length=8).id == before.id
    if change == "content":
        file.write_bytes(file.read_bytes()[::-1])
    elif change == "name":
        file.rename(file.with_name("other.py"))
    else:
        (folder / "new.py").write_text("")
    after = Python(root=str(folder), length=8)
    assert after.id != before.id
    assert after.provenance()["sha256"] != before.provenance()["sha256"]


def test_bits_per_byte_is_the_cross_entropy_to_base_two(folder: Path) -> None:
    task = Python(root=str(folder), length=6)
    batch = task.train_batch(0, 0, 5)
    logits = torch.randn(5, 6, 256, generator=torch.Generator().manual_seed(0))
    scores = task.score(logits, batch)
    odds = logits.double().softmax(-1).gather(-1, batch.targets[..., None])
    assert float(scores["bits_per_byte"].mean) == pytest.approx(-float(odds.log2().mean()), 1e-5)
    assert float(scores["loss"].mean) == pytest.approx(-float(odds.log().mean()), 1e-5)
    flat = task.score(torch.zeros(5, 6, 256), batch)["bits_per_byte"]
    assert float(flat.mean) == pytest.approx(task.chance["bits_per_byte"])
    assert "bits_per_byte" in task.lower_is_better
    assert math.isclose(task.chance["accuracy"], 1 / 256)


def test_folder_without_sources_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(zoo.DataError, match=r"no \*\.py to read.*task\.root="):
        Python(root=str(tmp_path / "absent")).prepare()


def test_too_little_text_says_what_to_do(folder: Path) -> None:
    with pytest.raises(zoo.DataError, match=r"bytes for \w+, a window .* 5001; .*task\.length="):
        Python(root=str(folder), length=5000).prepare()


def test_standard_library_is_there_and_reads_as_python() -> None:
    task = Python(budget="smoke")
    task.prepare()
    sizes = {split: len(text) for split, text in task.corpus.splits.items()}
    assert sizes["train"] > 8 * sizes["test"] > 0
    assert min(sizes.values()) > 100_000
    assert b"def raw_decode(self, s, idx=0)" in b"".join(
        text.tobytes() for text in task.corpus.splits.values()
    )
    assert task.text(list("π = 3\n".encode())) == "π = 3\n"
    assert [batch.inputs.shape for batch in task.batches("test", 32)] == [(32, 256)]
