"""What a user may type, and what each mistake gets."""

import pytest

import zoo
from zoo import registry
from zoo.config import resolve


@pytest.fixture(scope="module")
def shelves() -> registry.Registry:
    return registry.load()


MISTAKES = {
    "task=copy mixer=mamab": "no mixer is named 'mamab'; did you mean 'mamba'?",
    "task=lr mixer=mamba": "no task is named 'lr'; did you mean 'lra'?",
    "mixr=mamba task=copy": "no key is named 'mixr'; did you mean 'mixer'?",
    "task=copy mixer=mamba mixer.stat=3": "has no option 'stat'; did you mean 'state'?",
    "task=copy mixer=mamba +mixer.stat=3": "`+` and `~` do not",
    "task=copy ~mixer": "`+` and `~` do not",
    "task=copy mixer": "write key=value",
    "task=copy mixer=mamba mixer.state=abc": "mixer.state=abc: should be a valid integer",
    "task=copy mixer=mamba mixer.state=-3": "mixer.state=-3: should be greater than 0",
    "task=copy mixer=mamba seed=x": "seed=x: should be a valid integer",
    "task=copy mixer=mamba seed=-1": "seed=-1: should be greater than or equal to 0",
    "task=copy mixer=mamba budget=smok": "did you mean 'smoke'?",
    "task=copy mixer=mamba mixer.kernel=chunkd": "did you mean 'chunked'?",
    "task=copy mixer=mamba dim=0": "dim=0: should be greater than 0",
    "task=copy mixer=mamba mixer._target_=os.system": "has no option '_target_'",
    "task=copy mixer=mamba mixer=attention": "mixer is given twice",
    "task=copy mixer=../../etc": "no mixer is named '../../etc'",
    "task=copy mixer=[a,b]": "no mixer is named ['a', 'b']",
    "task=copy,lra/listops mixer=mamba": "add -m to run them all",
    "task=copy": "which mixer? type mixer=NAME; there is",
    "mixer=mamba": "which task? type task=NAME; there is",
    "task=copy mixer=mamba seed=[1": "cannot be read as key=value",
    "task=copy mixer=mamba match=${oc.env:HOME}": "interpolations are not supported",
    "task=copy mixer=hybrid": "a hybrid is mixer=hybrid and pattern=",
    "task=copy mixer=mamba pattern=[mamba]": "a hybrid is mixer=hybrid and pattern=",
    "task=copy mixer=hybrid pattern=[mamba,atention]": "did you mean 'attention'?",
    "task=copy mixer=hybrid pattern=[{mamba:{stat:2}}]": "did you mean 'state'?",
    "task=copy mixer=hybrid pattern=[{mamba:{state:-2}}]": "should be greater than 0",
    "task=copy mixer=hybrid pattern=[3]": "pattern entry 3",
    "hydra.run.dir=/tmp/x task=copy mixer=mamba": "no key is named 'hydra.run.dir'",
    "task=copy mixer=mamba position.base=3": "position 'none' has no option 'base'",
    "task=copy mixer=mamba lr=1e400": "lr=inf: should be a finite number",
    "task=copy mixer=mamba clip=nan": "clip=nan: should be a finite number",
    "task=copy mixer=mamba warmup=100": "should be less than or equal to 1",
    "task=copy mixer=mamba seed=99999999999999999999": "should be less than",
    "task=copy mixer=mamba loggers=[tensorbord]": "loggers=['tensorbord']: should be",
    "task@foo=copy mixer=mamba": "`@` has no meaning here",
    "task=copy mixer=mamba seed=range(3,0)": "add -m",
    "task=copy mixer=mamba block.dropout=1.5": "should be less than 1",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_named_and_the_mend_too(line: str, shelves: registry.Registry) -> None:
    with pytest.raises(zoo.ZooError) as caught:
        resolve(shelves, line.split(), multirun=False)
    assert MISTAKES[line] in str(caught.value)


def test_a_config_is_whole_and_plain(shelves: registry.Registry) -> None:
    (config,) = resolve(shelves, ["task=copy", "mixer=mamba", "mixer.state=4"], multirun=False)
    assert config["mixer"]["name"] == "mamba"
    assert config["mixer"]["state"] == 4
    assert config["mixer"]["expand"] == 2  # the constructor's own default
    assert config["position"] == {"name": "none"}
    assert config["seed"] == 0
    assert config["dim"] is None
    assert not [key for key in config["mixer"] if key.startswith("_")]


def test_auto_position_is_the_mixers_own(shelves: registry.Registry) -> None:
    (config,) = resolve(shelves, ["task=copy", "mixer=attention"], multirun=False)
    assert config["position"]["name"] == "rope"
    assert config["position"]["base"] == 10000.0


def test_a_sweep_is_the_product_of_its_values(shelves: registry.Registry) -> None:
    words = ["task=copy", "mixer=mamba,attention", "seed=0,1,2", "dim=16"]
    configs = resolve(shelves, words, multirun=True)
    cells = [(c["mixer"]["name"], c["seed"], c["dim"]) for c in configs]
    assert cells == [(m, s, 16) for m in ("mamba", "attention") for s in (0, 1, 2)]


def test_a_range_sweeps_too(shelves: registry.Registry) -> None:
    configs = resolve(shelves, ["task=copy", "mixer=mamba", "seed=range(3)"], multirun=True)
    assert [config["seed"] for config in configs] == [0, 1, 2]


def test_a_suite_is_every_installed_task_of_it(shelves: registry.Registry) -> None:
    configs = resolve(shelves, ["task=lra", "mixer=mamba"], multirun=False)
    named = [config["task"]["name"] for config in configs]
    assert named == [task for task in shelves.tasks if task.startswith("lra/")]
    assert "lra/listops" in named


def test_a_hybrids_layers_have_options_of_their_own(shelves: registry.Registry) -> None:
    words = ["task=copy", "mixer=hybrid", "pattern=[mamba,{attention:{heads:2}}]"]
    (config,) = resolve(shelves, words, multirun=False)
    assert [(e["name"], e.get("heads")) for e in config["pattern"]] == [
        ("mamba", None),
        ("attention", 2),
    ]


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("seed=range(3,0)", "is an empty range"),
        ("seed=interval(0,3)", "list the values"),
        ("seed=glob(*)", "list the values"),
    ],
)
def test_a_sweep_that_is_no_list_is_refused(
    word: str, why: str, shelves: registry.Registry
) -> None:
    with pytest.raises(zoo.ZooError, match=why):
        resolve(shelves, ["task=copy", "mixer=mamba", word], multirun=True)


def test_a_number_is_taken_where_the_choices_are_words(shelves: registry.Registry) -> None:
    (config,) = resolve(shelves, ["task=copy", "mixer=mamba", "precision=32"], multirun=False)
    assert config["precision"] == "32"


def test_threads_and_a_hydra_of_the_callers_own_do_not_meet(shelves: registry.Registry) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from hydra import initialize
    from hydra.core.global_hydra import GlobalHydra

    def mixer(name: str) -> dict[str, object]:
        (config,) = resolve(shelves, ["task=copy", f"mixer={name}"], multirun=False)
        return dict(config["mixer"])

    names = ["mamba", "attention"] * 8
    with initialize(version_base="1.3", config_path=None):
        with ThreadPoolExecutor(4) as pool:
            configs = list(pool.map(mixer, names))
        assert GlobalHydra.instance().is_initialized()
    assert [config["name"] for config in configs] == names
    assert all(("state" in config) == (config["name"] == "mamba") for config in configs)
