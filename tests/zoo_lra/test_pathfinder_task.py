"""Pathfinder and Path-X as tasks: batches, budgets, names, identity, text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset, random_split

import zoo
from zoo_lra import generated, shards
from zoo_lra.pathfinder import RAMP, Pathfinder, PathX
from zoo_lra.protocols import MOST, Protocol

PROTOCOLS: tuple[Protocol, ...] = ("tay-repo", "s4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this file's images are kept, so that they are generated once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(folder))
    for module in (shards, generated):  # no more images than a test takes
        monkeypatch.setattr(module, "ROWS", 25)


def test_batch_is_full_rows_of_bytes_and_both_answers() -> None:
    task = Pathfinder(budget="smoke")
    task.prepare()
    batch = task.train_batch(0, 0, 32)
    assert batch.inputs.shape == (32, 1024)
    assert batch.inputs.dtype == torch.int64
    assert batch.lengths is None
    assert (batch.inputs.amin(1) == 0).all()
    assert (batch.inputs.amax(1) == 255).all()
    assert set(batch.targets.tolist()) == {0, 1}
    counts = [len(task.splits[split].labels) for split in ("train", "valid", "test")]
    assert counts == [1000, 50, 200]


def test_pixels_are_between_nought_and_one_under_s4() -> None:
    plain, real = (Pathfinder(budget="smoke", protocol=p) for p in ("zoo", "s4"))
    tokens, pixels = (next(task.batches("test", 3)).inputs for task in (plain, real))
    assert pixels.shape == (3, 1024, 1)
    torch.testing.assert_close(pixels[..., 0], tokens / 255)


def test_batch_is_a_pure_function_of_seed_and_step() -> None:
    one, two = (Pathfinder(budget="smoke", workers=w) for w in (1, 2))
    assert torch.equal(one.train_batch(1, 2, 4).inputs, two.train_batch(1, 2, 4).inputs)
    drawn = {str(one.train_batch(s, t, 4).inputs.tolist()) for s in (0, 1) for t in (0, 1)}
    assert len(drawn) == 4


def test_smaller_budget_tests_on_the_first_of_the_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Pathfinder(budget="smoke"), Pathfinder(budget="smoke")
    large.budget = "cpu"
    monkeypatch.setitem(MOST, "cpu", {"train": 30, "valid": 60, "test": 400})
    smoke, cpu = small.splits["test"], large.splits["test"]
    assert (len(smoke.labels), len(cpu.labels)) == (200, 400)
    rows = np.arange(200)
    assert np.array_equal(np.stack(smoke.take(rows)), np.stack(cpu.take(rows)))
    assert np.array_equal(smoke.labels, cpu.labels[:200])


def test_no_split_shows_an_image_of_another() -> None:
    splits = Pathfinder(budget="smoke").splits
    shown = [row.tobytes() for s in splits.values() for row in s.take(np.arange(len(s.labels)))]
    assert len(set(shown)) == len(shown) == 1250


def test_another_resolution_or_difficulty_is_another_name_and_id() -> None:
    made = {
        Pathfinder(): "",
        Pathfinder(resolution=64): "64",
        Pathfinder(difficulty="easy"): "easy",
        Pathfinder(resolution=256, difficulty="intermediate"): "256-intermediate",
        PathX(): "",
        Pathfinder(resolution=128): "128",
    }
    assert [task.variant for task in made] == list(made.values())
    assert len({task.id for task in made}) == len(made)
    assert [task.max_length for task in made] == [1024, 4096, 1024, 65_536, 16_384, 16_384]


def test_identity_knows_the_data_but_not_the_workers_nor_the_folder() -> None:
    ids = [Pathfinder(), Pathfinder(data_seed=1), Pathfinder(data="release")]
    assert len({task.id for task in ids}) == len(ids)
    assert Pathfinder(workers=1).id == Pathfinder(workers=3).id
    release = [Pathfinder(data="release", root=root).id for root in ("", "/nowhere")]
    assert release[0] == release[1]


def test_path_x_of_smoke_is_a_tenth_of_the_examples_of_its_true_length() -> None:
    task = PathX(budget="smoke", protocol="tay-repo")
    batch = task.train_batch(0, 0, 2)
    assert batch.inputs.shape == (2, 16_384)
    assert [len(task.splits[s].labels) for s in ("train", "valid", "test")] == [100, 5, 20]
    same = Pathfinder(budget="smoke", resolution=128, protocol="tay-repo")
    assert torch.equal(same.train_batch(0, 0, 2).inputs, batch.inputs)


def test_path_x_is_refused_under_nystrom_with_what_to_type() -> None:
    with pytest.raises(zoo.ZooError, match=r"nystrom has no Path-X .*type task.protocol=zoo"):
        PathX(protocol="nystrom")
    with pytest.raises(zoo.ZooError, match=r"s4 has no Pathfinder of 64 x 64"):
        Pathfinder(protocol="s4", resolution=64)


def test_release_that_is_not_here_is_told_with_the_command() -> None:
    task = Pathfinder(budget="smoke", data="release")
    assert Pathfinder(budget="smoke").missing() is None
    said = task.missing()
    assert said is not None
    assert "zoo data fetch lra-release" in said
    with pytest.raises(zoo.DataError, match="zoo data fetch lra-release"):
        task.prepare()


def released(root: Path, count: int) -> Path:
    """Pictures of one grey each, 0, 1, 2 ..., odd ones joined, as the release has them."""
    from PIL import Image

    folder = root / "pathfinder32" / "curv_contour_length_14"
    (folder / "imgs" / "0").mkdir(parents=True)
    (folder / "metadata").mkdir()
    lines = []
    for number in range(count):
        name = f"sample_{number}.png"
        Image.new("L", (32, 32), number).save(folder / "imgs" / "0" / name)
        lines.append(f"imgs/0 {name} {number} {number % 2} 1.8 6 2.0 2 5 2 1")
    (folder / "metadata" / "0.npy").write_text("\n".join([*lines, ""]))
    return root


def test_release_is_cut_as_the_protocol_does(tmp_path: Path) -> None:
    root = str(released(tmp_path, 20))
    shown = {}
    for protocol in PROTOCOLS:
        task = Pathfinder(budget="smoke", protocol=protocol, data="release", root=root)
        shown[protocol] = {
            split: [int(row[0]) for row in rows.take(np.arange(len(rows.labels)))]
            for split, rows in task.splits.items()
        }
        assert task.provenance()["name"] == "pathfinder32-release"
        for split, rows in task.splits.items():
            assert rows.labels.tolist() == [grey % 2 for grey in shown[protocol][split]]
    in_order, drawn = shown["tay-repo"], shown["s4"]
    assert in_order == {"train": list(range(16)), "valid": [16, 17], "test": [18, 19]}
    whole: Dataset[int] = TensorDataset(torch.arange(20))  # type: ignore[assignment]
    parts = random_split(whole, [16, 2, 2], torch.Generator().manual_seed(42))
    assert list(drawn.values()) == [list(part.indices) for part in parts]


def test_text_is_the_picture() -> None:
    task = Pathfinder(budget="smoke")
    tokens = next(task.batches("test", 1)).inputs[0].tolist()
    lines = task.text(tokens).split("\n")
    assert [len(line) for line in lines] == [32] * 32
    assert lines[3][5] == RAMP[tokens[3 * 32 + 5] * 10 // 256]
    assert "@" in "".join(lines)


def test_provenance_is_the_hash_of_the_images() -> None:
    here, again = (Pathfinder(budget="smoke").provenance() for _ in range(2))
    other = Pathfinder(budget="smoke", data_seed=1).provenance()
    assert here == again
    assert here["name"] == "pathfinder32"
    assert here["sha256"] != other["sha256"]


def test_chance_is_the_commoner_answer_of_the_test_split() -> None:
    task = Pathfinder(budget="smoke", workers=1)
    joined = float(task.splits["test"].labels.mean())
    assert task.chance == {"accuracy": pytest.approx(max(joined, 1 - joined))}
    assert task.chance["accuracy"] > 0.5
