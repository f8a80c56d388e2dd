"""findings.toml: strict, its commands run, and what the committed records say is what they hold."""

import shlex
from importlib.resources import files
from pathlib import Path

import pytest

from zoo import registry
from zoo.config import resolve, suites
from zoo.errors import ZooError
from zoo.options import options
from zoo.profile import words
from zoo_leaderboard.findings import part
from zoo_leaderboard.findings.spec import findings, parse
from zoo_leaderboard.read import board

RECORDS = Path(__file__).parents[2] / "leaderboard" / "records"
GOOD = """
[[finding]]
id = "x-y"
claim = "so it is"
source = "s4"
command = "zoo run"
[finding.test]
tasks = ["copy"]
a = { mixer = ["s4"] }
b = { mixer = ["attention"] }
at_least = 0.0
"""
PROFILE = 'quantity = { of = "profile", name = "forward_ms", length = 8 }'


@pytest.fixture(scope="module")
def shelves() -> registry.Registry:
    return registry.load()


def test_the_sound_claim_that_the_mistakes_are_made_in_is_sound() -> None:
    (one,) = parse(GOOD)
    assert (one.id, one.test.bound, one.test.needs) == ("x-y", 0.0, "every")


MISTAKES = {
    ("id", "colour = 3\nid"): "finding x-y: colour: Extra inputs",
    ('a = { mixer = ["s4"] }', 'a = { mixer = "s4" }'): "finding x-y: test.a.mixer: Input should",
    ('a = { mixer = ["s4"] }', "a = { mixer = [4] }"): "finding x-y: test.a.mixer.0: Input should",
    ('a = { mixer = ["s4"] }', "a = {}"): "finding x-y: test.a: .* name the rows by mixer",
    ('a = { mixer = ["s4"] }', 'a = { name = ["s4"] }'): "finding x-y: test.a.name: Extra",
    ("at_least = 0.0", ""): "finding x-y: test: .*at_least or at_most",
    ("at_least = 0.0", "at_least = 0\nat_most = 1"): "finding x-y: test: .*at_least or at_most",
    ("at_least = 0.0", 'at_least = 0\nmeasure = "value"'): "finding x-y: test: .*of `a` alone",
    ("at_least = 0.0", 'at_least = 0\nmeasure = "ratio"'): "finding x-y: test: .*above 0",
    ("at_least = 0.0", "at_least = 0\nleast_seeds = 2"): "finding x-y: test.least_seeds:",
    ("at_least = 0.0", f"at_least = 1\n{PROFILE}"): "finding x-y: test: .*name tasks, unless",
    ('tasks = ["copy"]', ""): "finding x-y: test: .*name tasks, unless",
    ('tasks = ["copy"]', 'tasks = ["copy"]\nquantity = { of = "score_at" }'): "takes ..times..",
    (
        'tasks = ["copy"]',
        'tasks = ["copy"]\nquantity = { of = "cost", name = "lr_window" }',
    ): "nothing is named .lr_window.",
    ('source = "s4"', 'source = "s99"'): "finding x-y: no source is named .s99.",
    ('id = "x-y"', 'id = "X Y"'): "finding X Y: id: String should match",
    ("[[finding]]", "[[findings]]"): r"findings.toml: findings: write \[\[finding\]\]",
    ("[[finding]]", "[[finding]"): "findings.toml: ",
    ("at_least = 0.0", f"at_least = 0.0\n{GOOD}"): "x-y: an id is given twice",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda pair: " -> ".join(pair)[:60])
def test_a_mistake_is_refused_and_names_the_claim(mistake: tuple[str, str]) -> None:
    assert mistake[0] in GOOD
    with pytest.raises(ZooError, match=f"(?s){MISTAKES[mistake]}"):
        parse(GOOD.replace(*mistake, 1))


def test_there_are_claims_enough_and_their_file_is_the_one_that_is_read() -> None:
    text = (files("zoo_leaderboard.findings") / "findings.toml").read_text()
    assert len(findings()) == text.count("[[finding]]") >= 12


def test_the_example_of_the_docs_is_a_claim_of_the_file() -> None:
    text = (RECORDS.parents[1] / "docs" / "findings.md").read_text()
    (one,) = parse(text.partition("```toml\n")[2].partition("```")[0])
    assert one in findings()


@pytest.mark.parametrize(
    "finding", [one for one in findings() if not one.missing], ids=lambda one: one.id
)
def test_a_claim_names_what_there_is(finding, shelves: registry.Registry) -> None:  # type: ignore[no-untyped-def]
    families = {shelves.mixers[name].family for name in shelves.mixers}
    for side in (finding.test.a, finding.test.b):
        if side is not None:
            assert set(side.mixer) <= set(shelves.mixers)
            assert set(side.position) <= set(shelves.positions)
            assert set(side.family) <= families
            for name in side.mixer if side.options else ():
                assert set(side.options) <= set(options(shelves.mixers[name], "mixer"))


def one_by_one(words: list[str]) -> list[list[str]]:
    """The words with the first value of each sweep, and with every other value in its turn."""
    split = [(key, values.split(",")) for key, _, values in (w.partition("=") for w in words)]
    first = {key: values[0] for key, values in split}
    turns = [{**first, key: value} for key, values in split if key != "seed" for value in values]
    unique = {tuple(turn.items()) for turn in turns}
    return [[f"{key}={value}" for key, value in sorted(turn)] for turn in sorted(unique)]


@pytest.mark.parametrize("finding", findings(), ids=lambda one: one.id)
def test_a_claim_can_be_settled_by_its_command(finding, shelves: registry.Registry) -> None:  # type: ignore[no-untyped-def]
    zoo, verb, many, *rest = shlex.split(finding.command)
    assert (zoo, many) == ("zoo", "-m")
    test = finding.test
    sides = [side for side in (test.a, test.b) if side is not None]
    if verb == "profile":
        asked = words.read(shelves, rest, multirun=True)
        here = {config["mixer"]["name"] for config in asked.configs}
        assert all(set(side.mixer) & here for side in sides)
        assert max(asked.lengths) >= (test.quantity.length or 0)
        return
    tasks = {word.partition("=")[2] for word in rest if word.startswith("task=")}
    known = {*shelves.tasks, *suites(shelves.tasks)}
    unknown = {task for names in tasks for task in names.split(",")} - known
    assert bool(unknown) == bool(finding.missing), (
        f"missing: {finding.missing!r}, not here: {unknown}"
    )
    if unknown:
        assert all(task in finding.missing for task in unknown)
        return
    (seeds,) = [word for word in rest if word.startswith("seed=")]
    assert len(set(seeds.removeprefix("seed=").split(","))) >= test.least_seeds
    cells = [c for one in one_by_one(rest) for c in resolve(shelves, one, multirun=False)]
    assert {cell["task"]["name"] for cell in cells} & set(test.tasks)
    for side in sides:
        fit = [
            cell
            for cell in cells
            if (not side.mixer or cell["mixer"]["name"] in side.mixer)
            and (not side.position or cell["position"]["name"] in side.position)
        ]
        assert fit, side


def test_the_committed_records_settle_what_their_figures_show() -> None:
    found = {one["id"]: one for one in part(board(RECORDS))}
    here = board(RECORDS)
    (copy,) = [track for track in here.tracks if track.key.task == "copy"]
    means = {
        row.first.config["position"]["name"]: {n: s.mean for n, s in row.curve.items()}
        for row in copy.rows
        if row.first.mixer.name == "attention"
    }
    assert means["alibi"][128] > 0.9 > 0.3 > means["t5"][128] > 0.1 > means["rope"][128]
    for id_ in (
        "alibi-over-rope",
        "alibi-over-t5",
        "t5-over-absolute",
        "rope-does-not-extrapolate",
    ):
        assert found[id_]["verdict"] == "supported", found[id_]["reason"]
    assert means["none"][64] < means["t5"][64] < means["alibi"][64]
    assert found["none-over-biases"]["verdict"] == "contradicted"
    one = found["alibi-over-rope"]["evidence"][0]
    assert one["difference"] == pytest.approx(means["alibi"][128] - means["rope"][128])
    assert one["track"] == copy.key.anchor
