"""The release as people have it: tables, folders of pictures, or the whole archive."""

import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import zoo
from zoo_lra import pathfinder_release
from zoo_lra.pathfinder_release import ALL, copies, splits
from zoo_lra.release import LISTOPS, find_listops, listops
from zoo_lra.rows import Rows

ROWS = {
    "train": [("( ( ( [MAX 2 ) 9 ) ( ( [SM 1 ) ] ) ] )", 9), ("7", 7)],
    "val": [("( ( ( [MED 4 ) 0 ) ] )", 2)],
    "test": [("( ( ( ( [MIN 3 ) 8 ) 5 ) ] )", 3)],
}
TOKENS = {
    "train": [[11, 2, 9, 13, 1, 14, 14], [7]],
    "valid": [[12, 4, 0, 14]],
    "test": [[10, 3, 8, 5, 14]],
}
SIDE = 32


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))


def tables(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for split, rows in ROWS.items():
        lines = [f"{source}\t{target}" for source, target in rows]
        end = "\r\n" if split == "val" else "\n"
        text = end.join(["Source\tTarget", *lines, ""])
        (folder / f"basic_{split}.tsv").write_bytes(text.encode())
    return folder


def pictures(place: Path, *, array: bool = False) -> list[tuple[NDArray[np.uint8], int]]:
    """Twelve tables (so that 10 comes after 9) of two pictures each; the images and labels."""
    source = np.random.default_rng(0)
    made = []
    (place / "metadata").mkdir(parents=True)
    for number in range(12):
        (place / "imgs" / str(number)).mkdir(parents=True)
        lines = []
        for sample in range(2):
            pixels = source.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
            label = int(source.integers(0, 2))
            name = f"sample_{sample}.png"
            Image.fromarray(pixels).save(place / "imgs" / str(number) / name)
            fields = [f"imgs/{number}", name, str(sample), str(label)]
            lines.append([*fields, "1.0", "14", "4", "2", "0.5", "1", "1"])
            made.append((pixels, label))
        table = place / "metadata" / f"{number}.npy"
        if array:
            np.save(table, np.array(lines))
        else:
            table.write_text("".join(" ".join(line) + "\n" for line in lines))
    return made


def same(rows: Rows, made: list[tuple[NDArray[np.uint8], int]]) -> None:
    assert rows.labels.tolist() == [label for _, label in made]
    taken = rows.take(np.arange(len(made)))
    for row, (pixels, _) in zip(taken, made, strict=True):
        assert np.array_equal(row, pixels.ravel())


def archive(folder: Path, place: Path) -> Path:
    """All of ``folder``, in an order that helps nobody."""
    with tarfile.open(place, "w:gz") as opened:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file():
                opened.add(path, f"lra_release/lra_release/{path.relative_to(folder)}")
    return place


@pytest.mark.parametrize("top", ["", "listops-1000", "lra_release/lra_release/listops-1000"])
def test_tables_are_found_and_read(tmp_path: Path, top: str) -> None:
    folder = tables(tmp_path / "mine" / top if top else tmp_path / "mine")
    place = LISTOPS.require(str(tmp_path / "mine"), "lra/listops")
    assert place == folder
    corpus = listops(place)
    for split, wanted in TOKENS.items():
        rows = corpus.splits[split]
        assert [row.tolist() for row in rows.take(np.arange(len(wanted)))] == wanted
    assert corpus.splits["train"].labels.tolist() == [9, 7]


def test_tables_are_read_from_the_archive_too(tmp_path: Path) -> None:
    tables(tmp_path / "all" / "listops-1000")
    packed = archive(tmp_path / "all", tmp_path / "lra_release.gz")
    assert find_listops(tmp_path) == packed
    direct = listops(tmp_path / "all" / "listops-1000")
    assert listops(packed).sha256 == direct.sha256


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("( [MAX 3 ) ]\tx", "line 2 is no expression"),
        ("( [AVG 3 ) ]\t3", "line 2 is no expression"),
        ("12", "line 2 is no expression"),
        ("\t4", "line 2 is no expression"),
        (f"[MAX {'3 ' * 1998}]\t3", "line 2 has 2,000 tokens, and the release at most 1,999"),
        ("", "holds no expression"),
    ],
)
def test_a_foreign_table_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    folder = tables(tmp_path / "mine")
    (folder / "basic_val.tsv").write_text(
        f"Source\tTarget\n{line}\n" if line else "Source\tTarget\n"
    )
    with pytest.raises(zoo.DataError, match=told):
        listops(folder)
    (folder / "basic_val.tsv").write_text(f"{line}\n")
    with pytest.raises(zoo.DataError, match="does not begin with Source <TAB> Target"):
        listops(folder)


@pytest.mark.parametrize(
    "tail", ["", "pathfinder32/curv_contour_length_14", "curv_contour_length_14"]
)
def test_pictures_are_found_and_read_in_the_order_of_their_numbers(
    tmp_path: Path, tail: str
) -> None:
    root = tmp_path / "curv_contour_length_14" if not tail else tmp_path / "mine"
    place = root / tail
    made = pictures(place, array=tail == "curv_contour_length_14")
    assert copies(32, "hard").require(str(root), "lra/pathfinder") == place
    corpus = pathfinder_release.read(place, 32, "hard")
    found = splits(corpus, 32, "sequential")
    assert [len(found[split].labels) for split in ("train", "valid", "test")] == [20, 2, 2]
    same(found["train"], made[:20])
    same(found["valid"], made[20:22])
    same(found["test"], made[22:])
    assert found["train"].width == SIDE**2


def test_random_splits_are_those_of_torch(tmp_path: Path) -> None:
    made = pictures(tmp_path / "curv_contour_length_14")
    corpus = pathfinder_release.read(tmp_path / "curv_contour_length_14", 32, "hard")
    found = splits(corpus, 32, "random")
    parts: list[torch.utils.data.Subset[int]] = torch.utils.data.random_split(
        range(24),  # type: ignore[arg-type]
        [20, 2, 2],
        generator=torch.Generator().manual_seed(42),
    )
    for rows, part in zip(found.values(), parts, strict=True):
        same(rows, [made[index] for index in part.indices])


def test_an_empty_picture_is_left_out_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "curv_baseline"
    made = pictures(place)
    broken = [(3, 1), (11, 0)]
    (place / "imgs" / "3" / "sample_1.png").write_bytes(b"")
    whole = (place / "imgs" / "11" / "sample_0.png").read_bytes()
    (place / "imgs" / "11" / "sample_0.png").write_bytes(whole[: len(whole) // 2])
    left = [pair for index, pair in enumerate(made) if (index // 2, index % 2) not in broken]
    corpus = pathfinder_release.read(place, 32, "easy")
    assert "2 of 24 pictures cannot be read and are left out" in capsys.readouterr().err
    rows = corpus.splits[ALL]
    assert rows.labels.tolist() == [label for _, label in left]
    archived = archive(tmp_path, tmp_path / "x.gz")
    assert copies(32, "easy").place(str(archived)) == archived


def test_whatever_is_wrong_with_a_picture_leaves_it_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A header that is cut, which Pillow calls a ValueError, and one that promises a gigapixel."""
    place = tmp_path / "curv_baseline"
    pictures(place)
    whole = (place / "imgs" / "3" / "sample_1.png").read_bytes()
    cut = whole[:8] + struct.pack(">I", 5) + b"IHDR" + whole[16:21] + whole[29:]
    header = b"IHDR" + struct.pack(">II", 2**15, 2**15) + whole[24:29]
    huge = whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
    for sample, content in enumerate((cut, huge)):
        (place / "imgs" / "3" / f"sample_{sample}.png").write_bytes(content)
    assert pathfinder_release.read(place, 32, "easy").counts == {ALL: 22}
    assert "2 of 24 pictures cannot be read and are left out" in capsys.readouterr().err


def test_pictures_are_read_from_the_archive_too(tmp_path: Path) -> None:
    place = tmp_path / "all" / "pathfinder32" / "curv_contour_length_14"
    pictures(place)
    pictures(tmp_path / "all" / "pathfinder64" / "curv_contour_length_14")
    (place / "imgs" / "3" / "sample_1.png").write_bytes(b"")
    packed = archive(tmp_path / "all", tmp_path / "lra_release.gz")
    assert copies(32, "hard").require(str(tmp_path), "lra/pathfinder") == packed
    from_archive = pathfinder_release.read(packed, 32, "hard")
    assert from_archive.sha256 == pathfinder_release.read(place, 32, "hard").sha256
    with pytest.raises(zoo.DataError, match="holds no pathfinder32/curv_baseline/metadata"):
        pathfinder_release.read(packed, 32, "easy")


def test_what_is_no_pathfinder_is_told(tmp_path: Path) -> None:
    place = tmp_path / "curv_contour_length_14"
    pictures(place)
    with pytest.raises(zoo.DataError, match="32 x 32, not 64 x 64"):
        pathfinder_release.read(place, 64, "hard")
    (place / "metadata" / "4.npy").write_text("imgs/4 sample_0.png 0 maybe\n")
    with pytest.raises(zoo.DataError, match=r"4\.npy is no Pathfinder metadata"):
        pathfinder_release.read(place, 32, "hard")
    for table in (place / "metadata").glob("*"):
        table.unlink()
    with pytest.raises(zoo.DataError, match="holds no metadata"):
        pathfinder_release.read(place, 32, "hard")


def test_an_archive_cut_short_is_told(tmp_path: Path) -> None:
    tables(tmp_path / "all" / "listops-1000")
    packed = archive(tmp_path / "all", tmp_path / "lra_release.gz")
    packed.write_bytes(packed.read_bytes()[:-150])
    with pytest.raises(zoo.DataError, match="is damaged or no archive"):
        listops(packed)
    packed.write_bytes(b"no archive at all")
    with pytest.raises(zoo.DataError, match="is damaged or no archive"):
        pathfinder_release.read(packed, 32, "hard")
