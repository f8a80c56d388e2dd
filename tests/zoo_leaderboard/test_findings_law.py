"""A claim and its opposite never both hold, whatever the scores are."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.record import Record
from zoo_leaderboard import findings, published
from zoo_leaderboard.arrange import arrange
from zoo_leaderboard.findings.spec import Finding
from zoo_leaderboard.findings.verdict import evaluate
from zoo_leaderboard.read import Board

Put = Callable[..., Record]
VALUES = st.lists(st.floats(0, 1, allow_nan=False), min_size=3, max_size=4)
A, B = {"mixer": ["attention"]}, {"mixer": ["mamba"]}
LAW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def claim(**test: Any) -> Finding:
    whole = {"tasks": ["lra/listops", "lra/text"], "a": A, "b": B, **test}
    parts = {"id": "x", "claim": "so it is", "source": "s4", "command": "zoo run"}
    return Finding.model_validate({**parts, "test": whole})


@LAW
@given(
    scores=st.tuples(VALUES, VALUES, VALUES, VALUES),
    bound=st.floats(-0.5, 0.5),
    needs=st.sampled_from(["every", "any"]),
    tasks=st.integers(1, 2),
    upward=st.booleans(),
)
def test_a_claim_and_its_opposite_never_both_hold(
    make: Put,
    scores: tuple[list[float], ...],
    bound: float,
    needs: str,
    tasks: int,
    upward: bool,
) -> None:
    cells = [("lra/listops", "attention"), ("lra/listops", "mamba")]
    cells += [("lra/text", "attention"), ("lra/text", "mamba")]
    shared: dict[str, Any] = {"chance": None, "higher_is_better": upward}
    records = [
        make(value, task=task, mixer=mixer, seed=seed, **shared)
        for (task, mixer), values in list(zip(cells, scores, strict=True))[: 2 * tasks]
        for seed, value in enumerate(values)
    ]
    here = Board(arrange(records)[0], (), ())
    one = evaluate(claim(at_least=bound, needs=needs), here)["verdict"]
    opposite = evaluate(claim(at_most=bound, needs=needs), here)["verdict"]
    turned = evaluate(claim(a=B, b=A, at_least=-bound, needs=needs), here)["verdict"]
    assert [one, opposite].count("supported") < 2
    assert [one, turned].count("supported") < 2
    if one == "supported" and needs == "every":
        assert turned == opposite == "contradicted"
    if one == "contradicted" and tasks == 1:
        assert turned == opposite == "supported"


def test_figures_beyond_reason_and_configs_of_any_shape_end_in_plain_json(make: Put) -> None:
    odd = [["alibi"], "rope", {"name": ["x"]}, None, {"name": "rope"}, {"name": "alibi"}]
    records = [
        make(
            value, mixer=mixer, seed=seed, task=task, protocol="tay-paper", budget="paper",
            config={"position": position, "direction": [3], "steps": {"a": 1}},
            curve={1: value, 128: value}, trained_to=longest,
        )
        for task, longest in (("copy", 32), ("lra/listops", 10**400))
        for mixer in ("attention", "mamba")
        for position in odd
        for seed, value in enumerate((1.7e308, -1.7e308, 1e-320))
    ]  # fmt: skip
    here = Board(arrange(records)[0], (), ())
    json.dumps([findings.part(here), published.part(here)], allow_nan=False)
