"""`zoo list mixers` and `zoo list positions`: traits, and the kernels that can run here."""

import json

import pytest
import torch

import zoo
from zoo import catalogue
from zoo.cli import invoke

SHELVES = zoo.load()


@pytest.mark.parametrize("kind", ["mixers", "positions"])
def test_every_entry_says_what_it_is(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["items"]
    assert [row["name"] for row in rows] == sorted(SHELVES.shelves[kind])
    for row in rows:
        assert "arXiv" in row["paper"], row["name"]
        assert row["complexity"], row["name"]
        assert set(row["directions"]) <= {"causal", "bidirectional"}
        assert row["directions"]


@pytest.mark.parametrize("kind", ["mixers", "positions"])
def test_the_table_has_a_line_for_each(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["list", kind]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["name", "family", "cost", "directions"]
    assert [line.split()[0] for line in lines] == sorted(SHELVES.shelves[kind])


def test_kernels_listed_are_those_that_run_here() -> None:
    (row,) = [r for r in catalogue.detail(SHELVES, "mixers") if r["name"] == "attention"]
    assert row["kernels"][-1] == "reference"
    assert ("flash_attn" in row["kernels"]) <= torch.cuda.is_available()
    mixer = SHELVES.mixers["attention"](dim=16)
    for kernel in row["kernels"]:
        mixer.kernel = kernel
        mixer(torch.randn(1, 5, 16))
        assert mixer.kernel_ran == kernel


def test_a_mixer_that_does_not_load_is_told_and_hides_no_other() -> None:
    shelves = zoo.load()
    offers = shelves.shelves["mixers"].offers
    offers["broken"] = offers["attention"]._replace(item="zoo_attention.nowhere:Nothing")
    rows = catalogue.detail(shelves, "mixers")
    assert "nowhere" in next(row["problem"] for row in rows if row["name"] == "broken")
    assert "does not load" in catalogue.table(rows)
