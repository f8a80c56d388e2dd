"""Plugins come in one by one; what is broken is named and the rest works."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pluggy
import pytest

import zoo
from zoo import hooks, registry
from zoo_attention.full import Attention


def offering(**hooks: object) -> SimpleNamespace:
    """A plugin whose hooks return what is given."""
    made = {name: zoo.hookimpl(lambda value=value: value) for name, value in hooks.items()}
    return SimpleNamespace(**made)


def filled(**plugins: object) -> registry.Registry:
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hooks)
    for name, plugin in plugins.items():
        manager.register(plugin, name=f"dist:{name}")
    return registry.fill(manager)


def test_every_name_on_every_shelf_imports_and_keeps_its_contract() -> None:
    shelves = registry.load()
    assert not shelves.problems
    for shelf in shelves.shelves.values():
        assert len(shelf) > 0, shelf.kind
        for name in shelf:
            fits = issubclass if shelf.holds == "classes" else isinstance
            assert fits(shelf[name], registry.resolve(shelf.contract, "test"))


def test_a_class_and_its_name_in_words_are_the_same_offer() -> None:
    shelves = filled(
        a=offering(zoo_mixers={"one": Attention}),
        b=offering(zoo_mixers={"two": "zoo_attention.full:Attention"}),
    )
    assert shelves.mixers["one"] is shelves.mixers["two"]


def test_a_clash_withholds_the_name_names_both_and_spares_the_rest() -> None:
    shelves = filled(
        a=offering(zoo_mixers={"same": Attention, "mine": Attention}),
        b=offering(zoo_mixers={"same": Attention}),
    )
    assert list(shelves.mixers) == ["mine"]
    assert shelves.problems == [("dist:a and dist:b", "both offer the mixer 'same'")]
    with pytest.raises(zoo.ZooError, match="dist:a and dist:b both offer the mixer 'same'"):
        shelves.mixers["same"]


def test_a_hook_that_raises_is_a_problem_by_name() -> None:
    def broken() -> dict[str, object]:
        raise RuntimeError("no good")

    shelves = filled(
        good=offering(zoo_mixers={"mine": Attention}),
        bad=SimpleNamespace(zoo_mixers=zoo.hookimpl(broken)),
    )
    assert list(shelves.mixers) == ["mine"]
    ((plugin, message),) = shelves.problems
    assert plugin == "dist:bad"
    assert "no good" in message


def test_a_misspelt_hook_is_a_problem_that_names_the_right_one() -> None:
    shelves = filled(bad=offering(zoo_mixer={"mine": Attention}))
    ((plugin, message),) = shelves.problems
    assert (plugin, message) == (
        "dist:bad",
        "unknown hook 'zoo_mixer'; did you mean 'zoo_mixers'?",
    )


def test_what_is_no_mixer_is_refused_when_taken() -> None:
    shelves = filled(bad=offering(zoo_mixers={"dict": dict}))
    with pytest.raises(zoo.ZooError, match=r"dist:bad offers 'dict' as a mixer.*zoo\.Mixer"):
        shelves.mixers["dict"]


def test_a_class_that_does_not_import_is_an_error_only_when_taken() -> None:
    shelves = filled(bad=offering(zoo_mixers={"gone": "no_such_module:Mixer"}))
    assert "gone" in shelves.mixers
    with pytest.raises(zoo.ZooError, match="dist:bad names 'no_such_module:Mixer'"):
        shelves.mixers["gone"]


def test_a_plugin_that_does_not_import_is_named_and_the_rest_loads(
    install: Callable[[str, str], Path],
) -> None:
    install("zoo-broken", "raise ImportError('needs a thing')")
    install("zoo-fine", "import zoo\n@zoo.hookimpl\ndef zoo_mixers(): return {'fine': 'x:Y'}")
    shelves = registry.load()
    assert "fine" in shelves.mixers
    assert "attention" in shelves.mixers
    ((plugin, message),) = shelves.problems
    assert plugin == "zoo-broken:zoo_broken"
    assert "needs a thing" in message


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(
        zoo.ZooError, match="no mixer is named 'atention'; did you mean 'attention'"
    ):
        registry.load().mixers["atention"]


@pytest.mark.parametrize(
    "source",
    [
        "import zoo\n@zoo.hookimpl\ndef zoo_mixers(extra): return {}",
        "import sys\nsys.exit(3)",
        "import zoo\n@zoo.hookimpl\ndef zoo_mixers(): return {'hybrid': 'x:Y'}",
        "import zoo\n@zoo.hookimpl\ndef zoo_mixers(): return {'Bad Name': 'x:Y'}",
        "import zoo\n@zoo.hookimpl\ndef zoo_commands(): return {'run': 'x:y'}",
        "import zoo\n@zoo.hookimpl\ndef zoo_commands(): return {'leaderboard': 'x:y'}",
        "import zoo\n@zoo.hookimpl\ndef zoo_mixers(): return 3",
    ],
)
def test_whatever_a_plugin_does_it_is_a_problem_of_its_own(
    source: str, install: Callable[[str, str], Path]
) -> None:
    install("zoo-odd", source)
    shelves = registry.load()
    assert [plugin for plugin, _ in shelves.problems] == ["zoo-odd:zoo_odd"]
    assert "attention" in shelves.mixers
    assert shelves.commands["leaderboard"].plugin == "mixer-zoo:leaderboard"


def test_a_shelf_is_a_mapping() -> None:
    shelf = registry.load().mixers
    assert shelf.get("nope") is None
    assert dict(shelf)["mamba"] is shelf["mamba"]
    with pytest.raises(KeyError) as caught:
        shelf["nope"]
    assert str(caught.value).startswith("no mixer is named 'nope'")
