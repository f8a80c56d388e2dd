"""Published numbers: complete, in range, and set against ours by rules that words explain."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from zoo import registry
from zoo.record import Record
from zoo_leaderboard.published import part
from zoo_leaderboard.published.average import FIVE, averages
from zoo_leaderboard.published.cost import costs
from zoo_leaderboard.published.load import Score, Source, checked, curves, scores, sources
from zoo_leaderboard.published.ours import Shelf, beside, shelf
from zoo_leaderboard.published.printed import read
from zoo_leaderboard.read import board

Put = Callable[..., Record]


def test_every_number_says_where_it_comes_from() -> None:
    rows = scores()
    assert len({row.id for row in rows}) == len(rows) > 300
    for row in rows:
        assert row.source in sources(), row.id
        assert row.where, row.id
        assert row.protocol, row.id
        assert row.budget == "paper", row.id
        assert (row.value is None) == bool(row.reason), row.id
        assert row.value is None or 0 <= row.value <= 1, row.id
        assert row.spread is None or row.spread_kind in ("se", "unstated"), row.id
    for name, source in sources().items():
        assert source.arxiv or source.url, name
        assert source.arxiv is None or source.year - 2000 - int(source.arxiv[:2]) in (0, 1), name


@pytest.mark.parametrize(
    ("id_", "value", "spread", "flags"),
    [
        ("tay2021/transformer/lra/listops", 0.3637, None, ()),
        ("tay2021/transformer/lra/pathx", None, None, ()),
        ("tay2021/transformer/lra/retrieval", 0.5746, None, ("protocol effect",)),
        ("xformers/transformer/lra/retrieval", 0.7924, None, ("rerun", "protocol effect")),
        ("tay2021/linformer/lra/image/train_accuracy", 0.9723, None, ()),
        ("httyh/s4-v2-s4-legs/lra/pathfinder", 0.942, 0.0025, ()),
        ("lru/lru/scifar/colour", 0.89, 0.001, ("transplant",)),
        ("lru/s5/scifar/colour", 0.888, 0.001, ("rerun",)),
        ("metala/mamba/lra/pathx", 0.6732, None, ("rerun",)),
        ("mamba/mamba-s6/selective_copy", 0.998, None, ()),
        ("zoology/attention-width-from-64/mqar:512x64", 0.99, None, ("at least",)),
        ("lin-attn-bench/mamba/mad/fuzzy_recall", 0.123, None, ()),
        ("deltaformer/transformer/chomsky/parity_check", 0.52, None, ()),
        ("grazzi2024/mlstm/chomsky/parity_check/scaled_accuracy", 0.087, None, ()),
        ("mamba3/mamba-2/chomsky/modular_arithmetic/scaled_accuracy", 0.4781, None, ("rerun",)),
    ],
)  # fmt: skip
def test_a_number_is_what_the_paper_prints(
    id_: str, value: float | None, spread: float | None, flags: tuple[str, ...]
) -> None:
    row = next(row for row in scores() if row.id == id_)
    assert (row.value, row.spread, row.flags) == (value, spread, flags)


def test_a_colour_image_is_not_the_arenas_image() -> None:
    assert not [row for row in scores() if row.source == "lru" and row.task == "lra/image"]


def test_a_mixer_is_named_only_where_the_zoo_has_it() -> None:
    shelf_ = registry.load().mixers
    named = {row.mixer for row in scores()} | {curve["mixer"] for curve in curves()}
    assert named - {None} <= set(shelf_)


def test_averages_are_worked_out_again_and_the_wrong_ones_are_caught() -> None:
    found = averages()
    flagged = {(a["model"], a["source"], a["text"]) for a in found if a["misprint"]}
    assert flagged == {
        ("Sinkhorn Transformer", "tay2021", "51.39"),
        ("Sinkhorn Transformer", "lra-readme", "51.29"),
    }
    assert [a["model"] for a in found if a["invalid"]] == ["LRU"]
    assert [a["text"] for a in found if "unreliable" in a["flags"]] == ["87.14"]
    plain = [row for row in scores() if row.metric == "accuracy"]
    values = {(row.source, row.model, row.task): row.value for row in plain}
    for a in found:
        if (
            a["name"] == "MAD"
            or a["recomputed"] is None
            or a["source"] in ("lra-readme", "hearsay")
        ):
            continue
        parts = [values[a["source"], a["model"], task] for task in FIVE]
        if a["name"] == "Avg6":
            pathx = values[a["source"], a["model"], "lra/pathx"]
            parts.append(0.5 if pathx is None else pathx)
        assert None not in parts, a
        assert a["recomputed"] == pytest.approx(mean(p for p in parts if p is not None)), a
        assert a["misprint"] == (
            a["printed"] is not None and abs(a["printed"] - a["recomputed"]) > 1e-4
        ), a


def test_a_failed_pathx_counts_as_half_and_an_unreported_one_makes_no_mean() -> None:
    six = {(a["model"], a["source"]): a["recomputed"] for a in averages() if a["name"] == "Avg6"}
    assert six["Transformer", "tay2021"] == pytest.approx(0.536567, abs=1e-6)
    assert six["Transformer", "metala"] is None


def test_costs_carry_their_ratio_at_the_same_length() -> None:
    by = {(c["model"], c["length"], c["quantity"]): c for c in costs()}
    assert by["Performer", 4000, "steps_per_s"]["ratio"] == pytest.approx(8.0 / 1.4)
    assert by["Local Attention", 1000, "peak_memory_gb"]["ratio"] == pytest.approx(0.42 / 0.85)
    assert by["Synthesizer", 3000, "steps_per_s"]["flags"] == ["sic"]
    for one in costs():
        if one["ratio_printed"] is not None:
            assert one["ratio"] == pytest.approx(one["ratio_printed"], abs=0.1), one


def test_a_curve_ends_where_the_memory_does() -> None:
    by = {curve["model"]: {p["length"]: p for p in curve["points"]} for curve in curves()}
    assert by["MHA-RoPE"][2**15]["value"] is None
    assert by["MHA-RoPE"][2**15]["reason"] == "out of memory"
    assert by["MHA-xPos"][2**9]["value"] == 0.996
    assert by["Mamba"][2**20]["value"] == 1.0
    assert by["Hyena"][2**20]["value"] == 0.098


@pytest.mark.parametrize("text", ["3.6.7", "-5", "fail", "59±", "nan", ""])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        read(text)


def test_a_source_with_a_key_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Exception, match=r"published source x: page: Extra inputs"):
        checked(Source, {"title": "", "authors": "", "year": 1, "page": 3}, "source x")


def published(**changes: object) -> Score:
    """A made-up score that our default record may be compared with."""
    given = {
        "id": "x", "model": "S", "mixer": "s4d", "family": "ssm", "task": "lra/listops",
        "metric": "accuracy", "value": 0.6, "spread": None, "spread_kind": None, "seeds": None,
        "text": "60", "reason": "", "protocol": "s4", "budget": "paper", "source": "s4d",
        "where": "T1", "caveat": "", "flags": (),
    }  # fmt: skip
    return Score(**{**given, **changes})  # type: ignore[arg-type]


def shelf_of(runs: Path, put: Put, values: list[float], **conditions: object) -> Shelf:
    """Ours, under the conditions of `published` unless others are given."""
    given = {"protocol": "s4", "budget": "paper", "mixer": "s4d", **conditions}
    for seed, value in enumerate(values):
        put(value, seed=seed, **given)
    return shelf(board(runs))


def test_the_difference_is_in_standard_errors_where_everything_matches(
    runs: Path, put: Put
) -> None:
    here = shelf_of(runs, put, [0.62, 0.64, 0.66])
    # mean 0.64, sd 0.02, standard error 0.02 / sqrt(3) = 0.011547; 0.04 / 0.011547 = 3.4641
    (one,) = beside(published(), here)
    assert one["comparable"]
    assert one["difference"] == pytest.approx(0.04)
    assert one["standard_errors"] == pytest.approx(3.464102, abs=1e-5)
    assert one["because"] == "standard error of ours alone: theirs is not told"


@pytest.mark.parametrize(
    ("changes", "errors", "said"),
    [
        # theirs 0.03 / sqrt(4) = 0.015: sqrt(0.011547^2 + 0.015^2) = 0.018930; 0.04 / that = 2.1131
        ({"spread": 0.03, "spread_kind": "sd", "seeds": 4}, 2.113073, ""),
        ({"spread": 0.015, "spread_kind": "se", "seeds": None}, 2.113073, ""),
        ({"spread": 0.03, "spread_kind": "sd"}, 3.464102, "theirs is not told"),
        ({"spread": 0.03, "spread_kind": "unstated", "seeds": 4}, 3.464102, "is not stated"),
    ],
)
def test_their_standard_error_counts_where_it_is_known(
    runs: Path, put: Put, changes: dict[str, object], errors: float, said: str
) -> None:
    (one,) = beside(published(**changes), shelf_of(runs, put, [0.62, 0.64, 0.66]))
    assert one["standard_errors"] == pytest.approx(errors, abs=1e-5)
    assert said in one["because"]
    assert bool(said) == bool(one["because"])


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"protocol": "tay-paper"}, "protocol s4 is not tay-paper"),
        (
            {"protocol": "mega", "metric": "error"},
            "protocol s4 is not mega; metric accuracy is not error",
        ),
        ({"value": None, "reason": "out of memory"}, "nothing to compare with: out of memory"),
        ({"task": "lra/listops:long"}, "task lra/listops is not lra/listops:long"),
        ({"flags": ("transplant",)}, "the published number was measured on another task"),
    ],
)
def test_what_does_not_match_is_said_in_words(
    runs: Path, put: Put, changes: dict[str, object], because: str
) -> None:
    (one,) = beside(published(**changes), shelf_of(runs, put, [0.62, 0.64, 0.66]))
    assert (one["comparable"], one["standard_errors"]) == (False, None)
    assert one["because"] == because


def test_a_smaller_budget_is_named_and_few_seeds_are_provisional(runs: Path, put: Put) -> None:
    (one,) = beside(published(), shelf_of(runs, put, [0.5], budget="cpu"))
    assert one["because"] == "budget cpu is not paper; ours is provisional: 1 seed"
    assert one["difference"] == pytest.approx(-0.1)


def test_one_seed_and_equal_seeds_have_no_standard_error(runs: Path, put: Put) -> None:
    here = shelf_of(runs, put, [0.5])
    (one,) = beside(published(), here)
    assert one["standard_errors"] is None
    assert one["because"] == "no standard error: ours is one seed; ours is provisional: 1 seed"
    put(0.5, seed=1, protocol="s4", budget="paper", mixer="s4d")
    put(0.5, seed=2, protocol="s4", budget="paper", mixer="s4d")
    (one,) = beside(published(), shelf(board(runs)))
    assert one["standard_errors"] is None
    assert "all our seeds scored the same" in one["because"]


def test_other_mixers_and_failed_rows_stand_beside_nothing(runs: Path, put: Put) -> None:
    put(0.6, mixer="mamba")
    put(None, mixer="s4d", status="oom")
    here = shelf(board(runs))
    assert beside(published(), here) == []
    assert beside(published(mixer=None), here) == []


def test_comparable_rows_come_first(runs: Path, put: Put) -> None:
    shelf_of(runs, put, [0.7], protocol="zoo")
    (first, second) = beside(published(), shelf_of(runs, put, [0.5]))
    assert (first["comparable"], second["comparable"]) == (True, False)


def test_the_part_holds_everything_and_ours_where_it_belongs(runs: Path, put: Put) -> None:
    put(0.4, mixer="s4d", task="lra/listops")
    whole = part(board(runs))
    assert set(whole) == {"sources", "rows", "averages", "costs", "curves"}
    beside_ = {row["id"] for row in whole["rows"] if row["ours"]}
    assert beside_ == {"s4d/s4d-legs/lra/listops"}
