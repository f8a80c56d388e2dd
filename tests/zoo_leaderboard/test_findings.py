"""Verdicts of every kind on made-up boards, with figures worked out by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from zoo.record import Record
from zoo_leaderboard.arrange import arrange
from zoo_leaderboard.findings.spec import Finding
from zoo_leaderboard.findings.verdict import evaluate
from zoo_leaderboard.read import Board

Put = Callable[..., Record]
A, B = {"mixer": ["attention"]}, {"mixer": ["mamba"]}
TASK = "lra/listops"


def claim(**test: Any) -> Finding:
    """`attention` scores at least as much as `mamba` on ListOps, unless told otherwise."""
    given = {"tasks": [TASK], "a": A, "b": B, "at_least": 0.0, **test}
    given = {key: value for key, value in given.items() if value is not None}
    whole = {"id": "x", "claim": "it is so", "source": "s4", "command": "zoo run", "test": given}
    return Finding.model_validate(whole)


def seeds(make: Put, mixer: str, values: list[float], **more: Any) -> list[Record]:
    return [make(value, mixer=mixer, seed=i, **more) for i, value in enumerate(values)]


def placed(*groups: list[Record]) -> Board:
    tracks, _ = arrange([record for group in groups for record in group])
    return Board(tracks, (), ())


def test_a_clear_difference_supports_with_the_figures_of_a_paired_t(make: Put) -> None:
    # differences 0.1, 0.2, 0.3: mean 0.2, sd 0.1, half = 4.30265 * 0.1 / sqrt(3) = 0.248414
    wide = placed(seeds(make, "attention", [0.5, 0.7, 0.9]), seeds(make, "mamba", [0.4, 0.5, 0.6]))
    found = evaluate(claim(), wide)
    assert found["verdict"] == "not enough runs"
    (one,) = found["evidence"]
    assert (one["difference"], one["low"], one["high"]) == pytest.approx(
        (0.2, -0.048414, 0.448414), abs=1e-6
    )
    assert (one["n_a"], one["n_b"], one["test"], one["says"]) == (3, 3, "paired t", "open")
    assert "straddles 0 (-0.0484 to 0.448, 0.497 wide, 3 and 3 seeds)" in found["reason"]
    # differences 0.19, 0.2, 0.21: half = 0.0248414, t = 34.6410, p = 0.000832
    firm = placed(
        seeds(make, "attention", [0.59, 0.7, 0.81]), seeds(make, "mamba", [0.4, 0.5, 0.6])
    )
    found = evaluate(claim(), firm)
    assert found["verdict"] == "supported"
    (one,) = found["evidence"]
    assert (one["low"], one["high"]) == pytest.approx((0.175159, 0.224841), abs=1e-6)
    assert one["p"] == pytest.approx(0.000832, abs=1e-6)


def test_an_interval_ends_where_scores_do(make: Put) -> None:
    # differences 0.95, 0.9, 0.85: mean 0.9, half = 4.30265 * 0.05 / sqrt(3) = 0.124207
    rows = seeds(make, "attention", [0.95, 0.99, 0.97]), seeds(make, "mamba", [0.0, 0.09, 0.12])
    (one,) = evaluate(claim(at_least=0.1), placed(*rows))["evidence"]
    assert one["difference"] == pytest.approx(0.9)
    assert one["high"] == 1.0
    assert one["low"] == pytest.approx(0.9 - 0.124207, abs=1e-6)


def test_the_same_board_contradicts_the_opposite_and_a_margin_it_misses(make: Put) -> None:
    firm = placed(
        seeds(make, "attention", [0.59, 0.7, 0.81]), seeds(make, "mamba", [0.4, 0.5, 0.6])
    )
    assert evaluate(claim(a=B, b=A), firm)["verdict"] == "contradicted"
    assert evaluate(claim(at_least=None, at_most=0.0), firm)["verdict"] == "contradicted"
    assert evaluate(claim(at_least=0.17), firm)["verdict"] == "supported"
    assert evaluate(claim(at_least=0.2), firm)["verdict"] == "not enough runs"
    assert evaluate(claim(at_least=0.23), firm)["verdict"] == "contradicted"


def test_less_is_better_where_the_metric_says_so(make: Put) -> None:
    loss = {"headline": "loss", "higher_is_better": False, "chance": None}
    firm = placed(
        seeds(make, "attention", [1.0, 1.1, 1.2], **loss),
        seeds(make, "mamba", [1.51, 1.6, 1.7], **loss),
    )
    found = evaluate(claim(at_least=0.4), firm)
    assert found["verdict"] == "supported"
    assert found["evidence"][0]["difference"] == pytest.approx(-0.503333, abs=1e-6)
    assert evaluate(claim(at_least=0.6), firm)["verdict"] == "contradicted"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"budget": "smoke"}, "smoke runs are no result"),
        ({"protocol": "s4"}, "the claim is about protocol zoo"),
        ({"budget": "gpu"}, "the claim is about budget cpu"),
        ({"task": "copy"}, "no run yet of lra/listops"),
        ({"config": {"steps": 5}}, "attention and mamba differ in steps"),
        ({"config": {"dim": 5}}, "attention and mamba differ in dim"),
        ({"config": {"direction": "causal"}}, "attention and mamba differ in direction"),
        ({"device": "another"}, "no run of mamba"),
        ({"precision": "bf16"}, "no run of mamba"),
        ({"task_id": "ba9876543210"}, "no run of mamba"),
    ],
)
def test_what_may_not_be_compared_is_no_evidence(
    make: Put, more: dict[str, Any], reason: str
) -> None:
    both = {} if more.keys() & {"device", "precision", "task_id", "config"} else more
    firm = placed(
        seeds(make, "attention", [0.59, 0.7, 0.81], **more),
        seeds(make, "mamba", [0.4, 0.5, 0.6], **both),
    )
    found = evaluate(claim(budgets=["cpu"], protocols=["zoo"]), firm)
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert reason in found["reason"]


def test_matched_rows_may_differ_in_width_and_wrapped_ones_see_both_ways(make: Put) -> None:
    matched = {"match": "params:50k", "dim": 40, "direction": "bidirectional"}
    wrapped = {**matched, "dim": 35, "direction": "wrapped"}
    firm = placed(
        seeds(make, "attention", [0.59, 0.7, 0.81], config=matched),
        seeds(make, "mamba", [0.4, 0.5, 0.6], config=wrapped),
    )
    assert evaluate(claim(), firm)["verdict"] == "supported"


def test_two_seeds_are_not_enough_and_failed_ones_do_not_count(make: Put) -> None:
    a = seeds(make, "attention", [0.59, 0.7, 0.81])
    few = placed(a, seeds(make, "mamba", [0.4, 0.5]))
    found = evaluate(claim(), few)
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert "mamba has 2 of 3 seeds" in found["reason"]
    third = make(None, mixer="mamba", seed=2, status="oom")
    few = placed(a, [*seeds(make, "mamba", [0.4, 0.5]), third])
    assert "mamba has 2 of 3 seeds" in evaluate(claim(), few)["reason"]
    whole = placed(
        a, seeds(make, "mamba", [0.4, 0.5, 0.6]), [make(None, mixer="mamba", seed=3, status="oom")]
    )
    found = evaluate(claim(), whole)
    assert found["verdict"] == "supported"
    assert "mamba: 1 of 4 seeds failed" in found["reason"]
    assert "attention has 3 of 4 seeds" in evaluate(claim(least_seeds=4), whole)["reason"]


def test_guessing_rows_tell_nothing(make: Put) -> None:
    guess = placed(
        seeds(make, "attention", [0.51, 0.5, 0.49], chance=0.5),
        seeds(make, "mamba", [0.4, 0.39, 0.38], chance=0.5),
    )
    found = evaluate(claim(), guess)
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert "neither attention nor mamba is above chance" in found["reason"]


def test_seeds_that_all_agree_show_no_spread(make: Put) -> None:
    same = placed(seeds(make, "attention", [1.0, 1.0, 1.0]), seeds(make, "mamba", [0.5, 0.5, 0.5]))
    found = evaluate(claim(), same)
    assert found["verdict"] == "not enough runs"
    assert "show no spread" in found["reason"]


def test_rows_are_named_by_family_and_options_too(make: Put) -> None:
    here = placed(
        seeds(make, "attention", [0.59, 0.7, 0.81], family="attention", options={"heads": 4}),
        seeds(make, "mamba", [0.4, 0.5, 0.6], options={"state": 16}),
        seeds(make, "mamba", [0.8, 0.95, 0.99], options={"state": 64}),
    )
    small = {"family": ["ssm"], "options": {"state": 16}}
    found = evaluate(claim(a={"family": ["attention"]}, b=small), here)
    assert found["verdict"] == "supported"
    assert len(found["evidence"]) == 1
    none = claim(b={"mixer": ["mamba"], "options": {"stat": 16}})
    assert "no run of mamba stat=16" in evaluate(none, here)["reason"]


def test_too_many_rows_are_not_judged(make: Put) -> None:
    one = seeds(make, "attention", [0.59, 0.7, 0.81])
    many = [seeds(make, "mamba", [0.4, 0.5, 0.6], options={"state": n}) for n in range(101)]
    found = evaluate(claim(), placed(one, *many))
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert "1 times 101 rows fit" in found["reason"]


def test_an_interval_is_set_against_the_bound_in_its_own_terms(make: Put) -> None:
    loss = {"headline": "loss", "higher_is_better": False, "chance": None}
    near = placed(
        seeds(make, "attention", [1.0, 1.1, 1.2], **loss),
        seeds(make, "mamba", [1.51, 1.6, 1.7], **loss),
    )
    # differences -0.51, -0.5, -0.5: better by 0.5 is what the interval straddles, at -0.5
    assert "straddles -0.5 (-0.518 to -0.489," in evaluate(claim(at_least=0.5), near)["reason"]


def test_a_ratio_to_nothing_is_no_evidence(make: Put) -> None:
    def of(mixer: str, state: int) -> list[Record]:
        return [make(0.5, mixer=mixer, seed=i, state_bytes={512: state}) for i in range(3)]

    state = {"of": "cost", "name": "state_bytes"}
    found = evaluate(
        claim(quantity=state, measure="ratio", at_least=3),
        placed(of("attention", 4096), of("mamba", 0)),
    )
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert "mamba: only 0 of its seeds measured this" in found["reason"]


def test_seeds_that_have_no_logarithm_do_not_count_for_a_ratio(make: Put) -> None:
    here = placed(
        seeds(make, "attention", [0.0, 0.8, 0.81]), seeds(make, "mamba", [0.0, 0.4, 0.41])
    )
    found = evaluate(claim(measure="ratio", at_least=1.5), here)
    assert (found["verdict"], found["evidence"]) == ("not enough runs", [])
    assert "attention: only 2 of its seeds measured this" in found["reason"]


def test_mixed_evidence_is_called_mixed(make: Put) -> None:
    up, down = [0.59, 0.7, 0.81], [0.4, 0.5, 0.6]
    both = placed(
        seeds(make, "attention", up),
        seeds(make, "mamba", down),
        seeds(make, "attention", down, task="lra/text"),
        seeds(make, "mamba", up, task="lra/text"),
    )
    found = evaluate(claim(tasks=[TASK, "lra/text"]), both)
    assert found["verdict"] == "not enough runs"
    assert found["reason"].startswith("mixed: 1 of 2 for it, 1 against it")


def test_every_and_any_differ_where_one_comparison_is_open(make: Put) -> None:
    half = placed(
        seeds(make, "attention", [0.59, 0.7, 0.81]),
        seeds(make, "mamba", [0.4, 0.5, 0.6]),
        seeds(make, "s4d", [0.7, 0.5, 0.75]),
    )
    others = {"mixer": ["mamba", "s4d"]}
    assert evaluate(claim(b=others), half)["verdict"] == "not enough runs"
    assert evaluate(claim(b=others, needs="any"), half)["verdict"] == "supported"
    against = claim(a=others, b=A)
    assert evaluate(against, half)["verdict"] == "contradicted"
    assert evaluate(claim(a=others, b=A, needs="any"), half)["verdict"] == "not enough runs"


def test_holm_takes_back_what_one_comparison_alone_would_show(make: Put) -> None:
    # differences 0.1, 0.2, 0.28: mean 0.193333, sd 0.090185, t = 3.7130, p = 0.0655 alone: open;
    # 0.1, 0.15, 0.2: t = 5.19615, p = 0.0351 alone, 0.0702 as one of two
    pair = [seeds(make, "attention", [0.5, 0.65, 0.8]), seeds(make, "mamba", [0.4, 0.5, 0.6])]
    assert evaluate(claim(), placed(*pair))["verdict"] == "supported"
    both = placed(*pair, seeds(make, "s4d", [0.4, 0.45, 0.52]))
    found = evaluate(claim(b={"mixer": ["mamba", "s4d"]}), both)
    assert found["verdict"] == "not enough runs"
    assert "not after Holm's correction" in found["reason"]
    ps = {one["b"]: (one["p"], one["p_holm"]) for one in found["evidence"]}
    assert ps["mamba"] == pytest.approx((0.035099, 0.070197), abs=1e-6)


def test_a_value_is_held_to_a_bound_by_a_one_sample_t(make: Put) -> None:
    # mean 0.98, sd 0.01, half = 4.30265 * 0.01 / sqrt(3) = 0.0248414
    solved = placed(seeds(make, "attention", [0.97, 0.98, 0.99]))
    found = evaluate(claim(b=None, measure="value", at_least=0.95), solved)
    assert found["verdict"] == "supported"
    (one,) = found["evidence"]
    assert (one["difference"], one["low"], one["high"]) == pytest.approx(
        (0.98, 0.955159, 1.004841), abs=1e-6
    )
    assert (one["b"], one["n_b"]) == ("", 0)
    over = claim(b=None, measure="value", at_least=0.97)
    assert evaluate(over, solved)["verdict"] == "not enough runs"
    under = claim(b=None, measure="value", at_least=None, at_most=0.95)
    assert evaluate(under, solved)["verdict"] == "contradicted"


def test_a_score_beyond_training_is_read_off_the_curve(make: Put) -> None:
    def at(values: list[float], position: str) -> list[Record]:
        config = {"position": {"name": position}}
        shared: dict[str, Any] = {"mixer": "attention", "trained_to": 32, "config": config}
        return [
            make(0.9, seed=i, curve={32: 0.9, 64: value}, **shared)
            for i, value in enumerate(values)
        ]

    both = placed(at([0.8, 0.81, 0.83], "alibi"), at([0.11, 0.12, 0.12], "rope"))
    sides = {
        "a": {"mixer": ["attention"], "position": ["alibi"]},
        "b": {"mixer": ["attention"], "position": ["rope"]},
    }
    far = claim(**sides, quantity={"of": "score_at", "times": 2})
    found = evaluate(far, both)
    assert found["verdict"] == "supported"
    assert found["evidence"][0]["length"] == 64
    assert found["evidence"][0]["difference"] == pytest.approx(0.696667, abs=1e-6)
    further = claim(**sides, quantity={"of": "score_at", "times": 4})
    assert "not tested at length 128" in evaluate(further, both)["reason"]


def test_costs_that_are_counted_are_exact_and_ratios_of_others_are_geometric(make: Put) -> None:
    def of(mixer: str, state: int, speeds: list[float]) -> list[Record]:
        return [
            make(0.5, mixer=mixer, seed=i, speed=speed, state_bytes={512: state})
            for i, speed in enumerate(speeds)
        ]

    both = placed(of("attention", 4096, [100, 110, 121]), of("mamba", 1024, [200, 210, 250]))
    state = {"of": "cost", "name": "state_bytes"}
    found = evaluate(claim(quantity=state, measure="ratio", at_least=3), both)
    assert found["verdict"] == "supported"
    (one,) = found["evidence"]
    assert (one["difference"], one["low"], one["high"], one["test"]) == (4, 4, 4, "exact")
    more = claim(quantity=state, measure="ratio", at_least=5)
    assert evaluate(more, both)["verdict"] == "contradicted"
    speed = {"of": "cost", "name": "train_tokens_per_s"}
    found = evaluate(claim(quantity=speed, measure="ratio", at_least=None, at_most=1), both)
    assert found["verdict"] == "supported"
    # geometric mean of 100/200, 110/210, 121/250
    assert found["evidence"][0]["difference"] == pytest.approx(
        (100 / 200 * 110 / 210 * 121 / 250) ** (1 / 3)
    )
