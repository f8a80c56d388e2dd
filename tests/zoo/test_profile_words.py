"""The words of `zoo profile`: the grammar of lengths, and mistakes that are told before torch."""

import subprocess
import sys

import pytest

from zoo import registry
from zoo.cli import invoke
from zoo.errors import ZooError
from zoo.profile.words import lengths, read

SHELVES = registry.load()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("256..4096", (256, 512, 1024, 2048, 4096)),
        ("256..1000", (256, 512)),
        ("100..100", (100,)),
        ("4096,256,1000,256", (256, 1000, 4096)),
        ("17", (17,)),
    ],
)
def test_lengths(text: str, meant: tuple[int, ...]) -> None:
    assert lengths(text) == meant


@pytest.mark.parametrize("text", ["", "a", "0..8", "512..256", "8..", "1.5", "-4", "8...64", "1e3"])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(ZooError, match=r"write length=256\.\.65536"):
        lengths(text)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mixer=mamab"], "did you mean 'mamba'?"),
        (["mixer=mamba", "lenght=64"], "no key is named 'lenght'; did you mean 'length'"),
        (["mixer=mamba", "length=x"], "write length="),
        (["mixer=mamba", "rounds=1"], "rounds=1: should be greater than or equal to 3"),
        (["mixer=mamba", "limit=0"], "limit=0"),
        (["mixer=mamba", "limit=inf"], "limit=inf"),
        (["mixer=mamba", "limit=nan"], "limit=nan"),
        (["mixer=mamba", "batch=0"], "batch=0"),
        (["mixer=attention", "dim=10", "mixer.heads=4"], "heads"),
        (["mixer=attention", "mixer.head=4"], "no option 'head'; did you mean 'heads'?"),
        (["mixer=attention", "direction=causl"], "direction=causl"),
        (["task=cop", "mixer=mamba"], "did you mean 'copy'?"),
        (["mixer=mamba", "batch=two"], "batch=two"),
        (["mixer=mamba", "length=64", "length=65"], "length is given twice"),
        (["mixer=mamba", "lr=0.1"], "lr has no part in a profile"),
        (["mixer=mamba", "depth=2"], "a mixer alone has no depth; add task=NAME"),
        (["mixer=mamba,attention"], "add -m"),
        (["length=64"], "which mixer?"),
        (["mixer=hybrid"], "add task=NAME"),
    ],
)
def test_a_mistake_exits_2_and_says_what_is_right(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["profile", *words]) == 2
    assert says in capsys.readouterr().err


def test_mistakes_are_told_without_torch() -> None:
    script = (
        "import sys; from zoo.cli import invoke; "
        "codes = [invoke(w.split()) for w in sys.argv[1:]]; print(codes, 'torch' in sys.modules)"
    )
    bad = ["profile mixer=mamab", "profile mixer=mamba length=x", "profile mixer=mamba lr=1"]
    done = subprocess.run([sys.executable, "-c", script, *bad], capture_output=True, text=True)
    assert done.stdout == "[2, 2, 2] False\n"


def test_a_mixer_alone_is_causal_where_it_can_be_and_keeps_its_own_position() -> None:
    asked = read(SHELVES, ["mixer=attention", "mixer.heads=2", "dim=64"], multirun=False)
    (config,) = asked.configs
    assert config["direction"] == "causal"
    assert config["position"]["name"] == "rope"
    assert config["mixer"]["heads"] == 2
    assert (config["dim"], config["depth"], config["task"]) == (64, 1, None)
    assert (asked.batch, asked.rounds, asked.limit) == (1, 7, 20.0)


def test_a_sweep_is_every_combination() -> None:
    words = ["mixer=attention,mamba", "mixer.kernel=auto,reference", "position=none"]
    found = read(SHELVES, words, multirun=True).configs
    assert [(c["mixer"]["name"], c["mixer"]["kernel"]) for c in found] == [
        ("attention", "auto"),
        ("attention", "reference"),
        ("mamba", "auto"),
        ("mamba", "reference"),
    ]


def test_directions() -> None:
    def direction(*words: str) -> str:
        (config,) = read(SHELVES, words, multirun=False).configs
        return str(config["direction"])

    assert direction("mixer=attention", "direction=bidirectional") == "bidirectional"
    assert direction("mixer=mamba", "direction=bidirectional") == "wrapped"


def test_with_a_task_it_is_the_model_of_that_run() -> None:
    words = ["task=copy", "mixer=mamba", "budget=smoke", "depth=3", "length=64"]
    (config,) = read(SHELVES, words, multirun=False).configs
    assert config["task"]["name"] == "copy"
    assert config["depth"] == 3
