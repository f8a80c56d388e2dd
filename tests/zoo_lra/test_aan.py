"""Pairs of papers out of the tables as released: quotes, odd bytes and all."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra import aan
from zoo_lra.aan import beginning

ROWS: dict[str, list[tuple[bytes, bytes, bytes]]] = {
    "train": [
        (b"1.0", b'"begins with a quote', rb"written-out \n stays"),
        (b"0", b"bytes \x80\xfe that are no UTF-8", "naïve".encode()),
    ],
    "eval": [(b"0.0", b"a" * 5000, "é".encode() * 5000)],
    "test": [(b"1", b"ends in a return\r", b"and so\r"), (b"0.0", b"", b"empty beside")],
}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))


def write(root: Path, rows: dict[str, list[tuple[bytes, bytes, bytes]]] = ROWS) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, pairs in rows.items():
        lines = [b"\t".join([label, b"P01", b"P02", a, b]) + b"\n" for label, a, b in pairs]
        (root / f"new_aan_pairs.{name}.tsv").write_bytes(b"".join(lines))
    return root


def test_tables_are_read_without_quoting(tmp_path: Path) -> None:
    corpus = aan.read(write(tmp_path))
    assert corpus.counts == {"train": 2, "valid": 1, "test": 2}
    train, valid, test = (corpus.splits[split] for split in ("train", "valid", "test"))
    assert train.labels.tolist() == [1, 0]
    assert [row.tobytes() for row in train.take(np.arange(4))] == [
        text for _, *texts in ROWS["train"] for text in texts
    ]
    first, second = (row.tobytes() for row in valid.take(np.arange(2)))
    assert first == b"a" * 4000
    assert second.decode() == "é" * 4000
    assert [row.tobytes() for row in test.take(np.arange(2))] == [b"ends in a return\r", b"and so"]
    assert test.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("laid", "pointed"),
    [
        ("", ""),
        ("", "new_aan_pairs.train.tsv"),
        ("lra_release/tsv_data", ""),
        ("lra_release/lra_release/tsv_data", ""),
        ("lra_release/lra_release/tsv_data", "lra_release/lra_release"),
    ],
)
def test_any_layer_may_be_pointed_at(tmp_path: Path, laid: str, pointed: str) -> None:
    write(tmp_path / "mine" / laid)
    root = tmp_path / "mine" / pointed
    assert aan.COPIES.require(str(root), "lra/retrieval") == tmp_path / "mine" / laid


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"1.0\tP01\tP02\n", "line 2: 3 fields, the ids without the texts"),
        (b"1.0\tP01\tP02\ta\tb\tc\n", "line 2: 6 fields"),
        (b"2.0\tP01\tP02\ta\tb\n", "line 2: label b'2.0'"),
        (b"<html>\n", "line 2: 1 fields"),
        (b"x\tP01\tP02\ta\tb\n", "line 2: label b'x'"),
    ],
)
def test_a_foreign_line_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    write(tmp_path)
    path = tmp_path / "new_aan_pairs.eval.tsv"
    path.write_bytes(b"1.0\tP01\tP02\ta\tb\n" + line)
    with pytest.raises(zoo.DataError, match=rf"new_aan_pairs\.eval\.tsv, {told}"):
        aan.read(tmp_path)


def test_an_empty_table_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "new_aan_pairs.eval.tsv").write_bytes(b"")
    with pytest.raises(zoo.DataError, match=r"new_aan_pairs\.eval\.tsv is empty"):
        aan.read(tmp_path)


@pytest.mark.parametrize("text", ["plain ascii", "naïve 漢字 𝄞", "é" * 30, "a漢" * 9 + "𝄞", ""])
def test_a_beginning_is_of_whole_characters(text: str) -> None:
    for count in range(40):
        assert beginning(text.encode(), count) == text[:count].encode()


def test_bytes_that_never_begin_a_character_are_cut_too() -> None:
    assert len(beginning(b"\x80" * 100_000, 100)) <= 404


def test_long_tables_are_streamed(tmp_path: Path) -> None:
    long = {name: [(b"1", b"x" * 200_000, b"y" * 200_000)] * 25 for name in ROWS}
    write(tmp_path, long)  # 30 MB, of which .6 are kept
    tracemalloc.start()
    try:
        assert aan.read(tmp_path).counts["train"] == 25
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
