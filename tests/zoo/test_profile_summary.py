"""Profiles side by side: groups, labels, fits, claims, charts, and the words of a terminal."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import DataError
from zoo.profile import energy, record
from zoo.profile.chart import charts
from zoo.profile.record import Machine, Miss, Point, Profile, Timing
from zoo.profile.summary import summarise
from zoo.profile.tell import tell

LENGTHS = [2**k for k in range(8, 14)]
HERE: dict[str, Any] = {
    "device": "a cpu",
    "precision": "32",
    "torch": "2",
    "python": "3",
    "threads": 2,
}
MACHINE = Machine(**HERE, matmul_flops=1e11, bandwidth=1e10)


def profile(name: str, cost: Callable[[int], float], **other: Any) -> Profile:
    """One whose forward takes ``cost`` milliseconds, without noise."""
    points = [
        Point(
            length=n,
            forward_ms=Timing(median=cost(n), low=0.9 * cost(n), high=1.1 * cost(n), n=7),
            forward_bytes=1000 * n,
            state_bytes=4 * n,
            state_closed_form=4 * n,
            flops=2.0 * n * n,
            moved_bytes=4.0 * n,
            least_bytes=float(n),
            missing={"joules": Miss(kind="untold", reason="no counter")},
        )
        for n in LENGTHS
    ]
    facts: dict[str, Any] = {
        "profile_id": name,
        "session": "2026-01-01T00:00:00+00:00",
        "subject": "mixer",
        "mixer": name,
        "options": {"heads": 4, "kernel": "auto"},
        "position": "rope",
        "family": "attention",
        "kernel": "sdpa",
        "complexity": "l^2",
        "dim": 64,
        "depth": 1,
        "batch": 1,
        "direction": "causal",
        "params": 10,
        "points": points,
        "machine": MACHINE,
    }
    return Profile(**{**facts, **other})


def lost(one: Profile, length: int, kind: str) -> Profile:
    """The same with ``length`` and what is longer out of reach."""
    miss = Miss(kind=kind, reason="the reason")  # type: ignore[arg-type]
    points = [
        p
        if p.length < length
        else p.model_copy(update={"forward_ms": None, "missing": {"forward_ms": miss}})
        for p in one.points
    ]
    return one.model_copy(update={"points": points})


SQUARE = profile("square", lambda n: 1 + n * n / 1e6)
LINE = profile("line", lambda n: n / 1e3, complexity="l", family="ssm")


def test_what_differs_in_a_condition_is_another_group() -> None:
    wider = profile("square", lambda n: n, dim=128)
    other = MACHINE.model_copy(update={"precision": "bf16"})
    groups = summarise([SQUARE, LINE, wider, profile("line", float, machine=other)])
    assert sorted(len(group["rows"]) for group in groups) == [1, 1, 2]
    assert len({group["group"] for group in groups}) == 3


def test_of_one_cell_the_latest_session_counts() -> None:
    later = profile("square", lambda n: 5.0 * n, session="2026-02-01T00:00:00+00:00")
    (group,) = summarise([later, SQUARE])
    (row,) = group["rows"]
    assert row["points"][0]["forward_ms"] == 5 * 256
    assert group["sessions"] == ["2026-02-01T00:00:00+00:00"]


def test_labels_say_as_little_as_tells_apart() -> None:
    plain = profile("a", float, kernel="reference", options={"heads": 4, "kernel": "reference"})
    few = profile("a", float, options={"heads": 2, "kernel": "auto"})
    (group,) = summarise([profile("a", float), plain, few, LINE])
    labels = {row["label"] for row in group["rows"]}
    assert labels == {"a sdpa heads=2", "a sdpa heads=4", "a reference", "line"}


def test_a_row_is_judged_and_compared() -> None:
    (group,) = summarise([SQUARE, LINE])
    line, square = sorted(group["rows"], key=lambda row: row["label"])
    assert square["fits"]["forward_ms"]["p"] == pytest.approx(2, abs=0.01)
    assert square["fits"]["forward_ms"]["overhead"] == pytest.approx(1, abs=0.01)
    assert square["claims"]["forward_ms"]["verdict"] == "yes"
    assert line["claims"]["forward_ms"]["verdict"] == "yes"
    assert line["claims"]["flops"]["verdict"] == "no"  # n^2 by its closed form here
    assert "refused" in square["fits"]["train_ms"]
    point = square["points"][-1]
    seconds = (1 + 8192**2 / 1e6) / 1e3
    assert point["intensity"] == pytest.approx(2 * 8192 / 4)
    assert point["mfu"] == pytest.approx(2 * 8192**2 / seconds / 1e11)
    assert point["bandwidth_share"] == pytest.approx(8192 / seconds / 1e10)
    assert point["missing"]["joules"] == {"kind": "untold", "reason": "no counter"}
    (crossed,) = [c for c in group["crossovers"] if c["field"] == "forward_ms"]
    assert crossed["length"] is None
    assert crossed["text"] == "line is faster than square from 256 to 8,192"
    json.dumps(group, allow_nan=False)


def test_what_no_session_measured_in_turns_is_said_beside_a_crossover() -> None:
    one = profile("one", lambda n: n / 1e3)
    two = profile("two", lambda n: n * n / 1e6)
    (group,) = summarise([one, two])
    assert "in turns" not in group["crossovers"][0]["text"]
    assert group["crossovers"][0]["length"] == pytest.approx(1000)
    later = [p.model_copy(update={"session": "2026-03-01T00:00:00+00:00"}) for p in two.points]
    (group,) = summarise([one, two.model_copy(update={"points": later})])
    told = {crossed["field"]: crossed["text"] for crossed in group["crossovers"]}
    assert told["forward_ms"].endswith("; not measured in turns")
    assert "in turns" not in told["forward_bytes"]  # memory hears no noise
    assert group["sessions"] == ["2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"]


def test_quartiles_that_overlap_and_a_page_of_memory_are_too_close_to_call() -> None:
    near = profile("near", lambda n: 1.05 * n / 1e3)  # the quartiles are 10 % around
    (group,) = summarise([LINE, near])
    texts = {crossed["field"]: crossed["text"] for crossed in group["crossovers"]}
    assert texts["forward_ms"] == "near and line are too close to call from 256 to 8,192"
    assert texts["forward_bytes"] == "near and line are equal from 256 to 8,192"
    bigger = [
        p.model_copy(update={"forward_bytes": 1000 * p.length + size})
        for p, size in zip(near.points, [0, 2**20, 0, 0, 2**20 + 1, 2**22], strict=True)
    ]
    (group,) = summarise([LINE, near.model_copy(update={"points": bigger})])
    (text,) = [c["text"] for c in group["crossovers"] if c["field"] == "forward_bytes"]
    assert text.startswith("line is smaller than near from 4,096 to 8,192, too close")


def test_what_passes_the_roof_is_explained() -> None:
    fast = profile("fast", lambda n: 2e-8 * n * n / 1.5)  # 1.5 times the matrix product
    for rows, said in (([fast], True), ([SQUARE], False)):
        (group,) = summarise(rows)
        text = " ".join(charts(group)["roofline"]["title"]["subtitle"])
        assert ("causal mask" in text) == said
    assert summarise([fast])[0]["rows"][0]["points"][0]["mfu"] == pytest.approx(1.5)


def test_a_single_token_has_theory_too() -> None:
    one = profile("one", float, complexity="l log l")
    points = [p.model_copy(update={"length": p.length // 256}) for p in one.points]
    (group,) = summarise([one.model_copy(update={"points": points})])
    assert group["rows"][0]["claims"]["forward_ms"]["verdict"] == "yes"
    assert charts(group)["time"]


def test_a_mixer_that_never_ran_has_no_kernel_in_its_label() -> None:
    dead = lost(profile("square", float, kernel=None), 1, "oom")
    (group,) = summarise([SQUARE, dead])
    assert {row["label"] for row in group["rows"]} == {"square sdpa", "square no kernel"}


def test_the_terminal_shows_tables_exponents_and_why_not() -> None:
    (group,) = summarise([lost(SQUARE, 2048, "oom"), LINE])
    text = tell(group)
    rows = [line.split() for line in text.splitlines() if line.startswith("square ")]
    assert rows[0] == ["square", "1.07", "1.26", "2.05", "oom", "oom", "oom"]
    assert "100 GFLOP/s in a matrix product" in text
    assert "line: FLOPs no: they grow as n^2.00" in text
    assert "square forward at 2,048: oom, the reason" in text
    assert "joules: no counter" in text


def test_charts_have_the_data_theory_and_a_cross_where_memory_ran_out() -> None:
    (group,) = summarise([lost(SQUARE, 2048, "oom"), LINE])
    drawn = charts(group)
    assert set(drawn) == {"time", "memory", "state", "roofline"}  # what there are figures for
    time = json.dumps(drawn["time"])
    assert all(f'"name": "{name}"' in time for name in ("O(n)", "O(n log n)"))
    assert '"kind": "oom", "reason": "the reason"' in time
    crosses = [layer for layer in drawn["time"]["layer"] if layer["mark"].get("shape") == "cross"]
    assert [value["length"] for value in crosses[0]["data"]["values"]] == [2048]
    scores = [
        value
        for layer in drawn["memory"]["layer"]
        for value in layer.get("data", {}).get("values", [])
        if value.get("name", "").startswith("b·h·n²")
    ]
    assert scores
    for value in scores:
        assert value["value"] == pytest.approx(4 * 4 * value["length"] ** 2 / 2**20)
    (three,) = summarise([profile("square", float, batch=3)])
    assert f'B", "length": 256.0, "value": {float(3 * 4 * 4 * 256**2 / 2**20)}}}' in json.dumps(
        charts(three)["memory"]
    )
    (refused,) = summarise([lost(SQUARE, 2048, "refused")])
    assert '"kind": "refused"' not in json.dumps(charts(refused)["time"])
    roof = drawn["roofline"]["layer"][0]["data"]["values"]
    assert roof[1] == {"intensity": 10, "achieved": 100}  # 1e11 / 1e10, in GFLOP/s


def test_colours_follow_the_order_of_families_that_a_page_gives() -> None:
    (group,) = summarise([SQUARE, LINE])
    alone, within = (
        charts(group, families)["time"]["layer"][-1]["encoding"]["color"]["scale"]
        for families in ([], ["ssm", "attention"])
    )
    assert alone["domain"] == within["domain"]
    assert alone["range"] == within["range"][::-1]


def test_it_needs_no_torch() -> None:
    script = "import sys, zoo.profile.summary, zoo.profile.chart; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_a_profile_survives_writing_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = record.write(SQUARE, tmp_path)
    assert record.read(path) == SQUARE
    path.write_text(path.read_text()[:100])
    newer = path.parent.parent / "newer" / record.FILE
    newer.parent.mkdir()
    newer.write_text('{"schema_version": 99}')
    errors = list(record.read_all(tmp_path))
    assert all(isinstance(error, DataError) for error in errors)
    assert "schema 99" in str(errors[0])
    assert str(path) in str(errors[1])


def test_rapl_is_summed_over_packages_and_its_wrap_undone(tmp_path: Path) -> None:
    for zone, joules in (("intel-rapl:0", 900), ("intel-rapl:1", 5), ("intel-rapl:0:0", 7)):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "max_energy_range_uj").write_text("1000000000")
        (tmp_path / zone / "energy_uj").write_text(str(joules * 10**6))
    read = energy._rapl(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text(str(100 * 10**6))
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text(str(6 * 10**6))
    assert read() == 200 + 1
    with pytest.raises(energy.Untold, match="no energy counter"):
        energy._rapl(tmp_path / "intel-rapl:0")
