"""The board to paste: CSV, Markdown and LaTeX, in which no name is a formula or markup."""

import csv
import io
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

import zoo
from zoo.record import Record
from zoo_leaderboard.export import content, save
from zoo_leaderboard.markup import commands, entities
from zoo_leaderboard.read import board

Put = Callable[..., Record]
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://evil.example/pixel)",
    "[x](javascript:alert(1))",
    "a|b",
    "`code`",
    "**bold**",
    "_it_",
    "@everyone #1",
    ":smile:",
    "www.evil.example",
    "# heading",
    "1. list",
    "- list",
    "two\nlines",
    "\\input{/etc/passwd}",
    "50% of $x_1^2$ & ~{more}",
    "a\u202eb\u200b",
]


def written(runs: Path, kind: str) -> str:
    return content(board(runs), kind).decode()


def test_markdown_is_tables_with_rows_best_first(runs: Path, put: Put) -> None:
    for seed, value in enumerate([0.4, 0.5, 0.6]):
        put(value, seed=seed)
    put(0.9, mixer="linear_attention", options={"heads": 4})
    text = written(runs, "md")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["2", "mamba", "0.500", "0.252\u20130.748", "3/3", "200k"] in [c[:6] for c in lines]
    assert ["1", "linear_attention&#42;", "0.900"] in [c[:3] for c in lines]
    assert "### lra/listops, protocol zoo, budget cpu" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table if line.count("|") > 6}) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_in_markdown(name: str) -> None:
    shown = entities(name)
    bare = re.sub(r"&#\d+;", "", shown)
    assert not {*"<>|`*[]@#&\\\n"} & {*bare}
    assert not re.search(r"^\s*([-+=]|\d+[.)]\s)|:\S|www\.|(\W|^)_|_(\W|$)", bare)
    if not {"\n", "\u202e"} & {*name}:
        assert unescape(shown) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_a_command_in_latex(name: str) -> None:
    shown = commands(name)
    ours = r"\\text\w+\{\}|\\ensuremath\{\\\w+\}|\\ldots\{\}|\\[{}$&#%_]|\{[-*\[\]]\}"
    bare = re.sub(ours, "", shown)
    assert not {*"\\{}$&#%_~^<>|\"'`[]*\n"} & {*bare}
    assert shown.count("{") - shown.count(r"\{") == shown.count("}") - shown.count(r"\}")


def test_latex_has_as_many_cells_in_every_line(runs: Path, put: Put) -> None:
    put(0.4)
    for name in HOSTILE:
        put(0.5, mixer=name, family=name, task=f"lra/{name}", run_id=name)
    text = written(runs, "tex")
    for block in text.split(r"\begin{tabular}{")[1:]:
        columns, _, body = block.partition("}")
        lines = body.partition(r"\end{tabular}")[0].splitlines()
        rows = [line for line in lines if line.endswith(r"\\")]
        assert rows
        assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(columns) - 1}
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\midrule")
    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}


def test_tables_of_hostile_names_keep_their_cells_in_markdown(runs: Path, put: Put) -> None:
    put(0.4)
    for i, name in enumerate(HOSTILE):
        put(0.5 + i / 1000, mixer=name, run_id=name)
    tables = [block for block in written(runs, "md").split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert len(tables[-1].splitlines()) == 2 + 1 + len(HOSTILE)


@pytest.mark.parametrize("sign", "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
def test_no_cell_of_the_csv_starts_a_formula(runs: Path, put: Put, sign: str) -> None:
    put(-0.5, mixer=f"{sign}cmd()", headline="correlation")
    (line,) = csv.DictReader(io.StringIO(written(runs, "csv"), newline=""))
    assert line["mixer"] == f"'{sign}cmd()"
    assert line["mean"] == "-0.5"
    assert not any((cell or " ")[0] == sign for name, cell in line.items() if name != "mean")


def test_csv_tells_the_rate_and_the_tags(runs: Path, put: Put) -> None:
    put(0.05, chance=0.1)
    (line,) = csv.DictReader(io.StringIO(written(runs, "csv"), newline=""))
    assert (line["lr"], line["rates"]) == ("0.001", "")
    assert line["tags"] == "provisional, not above chance"


@pytest.mark.parametrize("kind", ["csv", "json", "md", "tex"])
def test_an_empty_board_and_a_lone_surrogate_can_be_written(
    runs: Path, put: Put, kind: str
) -> None:
    assert isinstance(content(board(runs, empty_ok=True), kind), bytes)
    put(0.1, options={"name": "here"})
    put(0.2, options={"name": "there"})
    path = runs / "0" / "record.json"
    path.write_text(path.read_text().replace('"here"', '"\\ud800"'))
    assert b"ud800" in content(board(runs), kind)


@pytest.mark.parametrize("kind", ["csv", "json", "md", "tex"])
def test_a_file_that_cannot_be_written_is_named(
    runs: Path, put: Put, tmp_path: Path, kind: str
) -> None:
    put()
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(zoo.ZooError, match=f"--{kind} {re.escape(str(place))}: "):
            save(board(runs), place, kind)
