"""Whatever lies in the folder: the board is built, and what it leaves out is named."""

import gc
import json
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.record import Record
from zoo_leaderboard.document import document
from zoo_leaderboard.export import content
from zoo_leaderboard.files import unhurried
from zoo_leaderboard.read import Board, board

Put = Callable[..., Record]
GOLDEN = Path(__file__).parent / "golden"


def place(runs: Path, name: str, content: bytes | str, file: str = "record.json") -> Path:
    path = runs / name / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only_problem(runs: Path, name: str) -> str:
    """The one problem, which names the file; the good record is still there."""
    whole = checked(runs)
    assert [row.label for track in whole.tracks for row in track.rows] == ["good"]
    (problem,) = whole.problems
    assert str(runs / name) in problem, problem
    return problem


def checked(runs: Path) -> Board:
    """The board, after it was written out in every form that needs no browser."""
    whole = board(runs)
    json.dumps(document(whole), allow_nan=False)
    for kind in ("csv", "json", "md", "tex"):
        content(whole, kind)
    return whole


def changed(put: Put, runs: Path, **parts: Any) -> str:
    """A record's JSON with some of its fields replaced."""
    whole = json.loads((runs / "0" / "record.json").read_text())
    return json.dumps({**whole, "run_id": "bad", **parts})


@pytest.fixture(autouse=True)
def good(put: Put) -> None:
    put(mixer="good")


BROKEN = {
    "empty": b"",
    "cut": b'{"schema_version": 2, "run_id"',
    "not_utf8": b"\xff\xfe\x00",
    "surrogate_bytes": "\ud800".encode(errors="surrogatepass"),
    "array": b"[1, 2]",
    "number": b"7",
    "null": b"null",
    "deep": b"[" * 100_000,
    "deep_object": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "no_version": b"{}",
    "version_text": b'{"schema_version": "1"}',
    "version_true": b'{"schema_version": true}',
    "version_zero": b'{"schema_version": 0}',
    "missing_is_a_list": b'{"schema_version": 1, "missing": [1]}',
    "huge_integer": b'{"schema_version": 2, "seed": ' + b"9" * 5_000 + b"}",
    "bom": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_record_is_named(runs: Path, name: str) -> None:
    place(runs, name, BROKEN[name])
    only_problem(runs, name)


def test_a_newer_schema_is_refused_by_name(runs: Path, put: Put) -> None:
    place(runs, "new", changed(put, runs, schema_version=99))
    assert "99" in only_problem(runs, "new")


@pytest.mark.parametrize(
    "parts",
    [
        {"steps": "many"},
        {"seconds": float("nan")},
        {"seconds": -1},
        {"metrics": []},
        {"curve": {"long": 1.0}},
        {"losses": {"1": "NaN"}},
        {"env": None},
        {"surprise": 1},
        {"status": "splendid"},
    ],
    ids=str,
)
def test_wrong_types_are_named(runs: Path, put: Put, parts: dict[str, Any]) -> None:
    place(runs, "typed", changed(put, runs, **parts))
    assert next(iter(parts)) in only_problem(runs, "typed")


@pytest.mark.parametrize("options", [{"a": float("inf")}, {"a": {"b": [float("nan")]}}])
def test_no_number_in_the_options_is_refused(runs: Path, put: Put, options: dict[str, Any]) -> None:
    mixer = {"name": "x", "options": options, "kernel": None, "family": "x"}
    place(runs, "nan", changed(put, runs, mixer=mixer))
    (problem,) = checked(runs).problems
    assert "bad" in problem


def test_options_nested_too_deep_are_refused(runs: Path, put: Put) -> None:
    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    place(runs, "deep", changed(put, runs, config={"a": nested}))
    (problem,) = checked(runs).problems
    assert "nested deeper" in problem


def test_many_brackets_side_by_side_are_not_deep(runs: Path, put: Put) -> None:
    place(runs, "wide", changed(put, runs, config={"a": [[1]] * 300}))
    assert checked(runs).problems == ()


def test_fifty_megabytes_are_refused_without_being_read(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place(runs, "huge", b"{")
    os.truncate(path, 50 * 2**20)  # a hole: takes no room on the disk
    whole = Path.read_text

    def watched(self: Path, *args: Any, **options: Any) -> str:
        assert self != path
        return whole(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", watched)
    assert str(50 * 2**20) in only_problem(runs, "huge")


@pytest.mark.parametrize("name", ["record.json", "profile.json"])
def test_a_folder_with_a_files_name_is_named(runs: Path, name: str) -> None:
    (runs / "folder" / name).mkdir(parents=True)
    only_problem(runs, f"folder/{name}")


@pytest.mark.parametrize("name", ["record.json", "profile.json"])
def test_a_pipe_and_links_do_not_hold_it_up(runs: Path, name: str) -> None:
    (runs / "a").mkdir()
    os.mkfifo(runs / "a" / name)
    only_problem(runs, f"a/{name}")
    (runs / "a" / name).unlink()
    (runs / "a" / name).symlink_to(name)  # to itself
    only_problem(runs, f"a/{name}")
    (runs / "a" / name).unlink()
    (runs / "a" / name).symlink_to("nowhere")
    only_problem(runs, f"a/{name}")
    (runs / "a" / name).unlink()
    (runs / "a" / "round").symlink_to(runs)
    assert checked(runs).problems == ()


def test_what_may_not_be_read_is_named(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = place(runs, "secret", b"{}")
    (runs / "closed").mkdir()
    whole, walk = Path.read_text, os.scandir

    def denied(self: Path, *args: Any, **options: Any) -> str:
        if self == secret:
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, *args, **options)

    def closed(path: str | Path = ".") -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return walk(path)

    # tests may run as root, whom no permission stops
    monkeypatch.setattr(Path, "read_text", denied)
    monkeypatch.setattr("os.scandir", closed)
    problems = checked(runs).problems
    assert len(problems) == 2
    assert all("ermission denied" in problem for problem in problems)
    assert [name in "".join(problems) for name in ("secret", "closed")] == [True, True]


@pytest.mark.parametrize(
    ("parts", "score"),
    [
        ({"metrics": {}}, None),
        ({"headline": "nothing"}, None),
        ({"curve": {}, "losses": {}, "validated": {}}, 0.5),
        ({"started": "yesterday"}, 0.5),
        ({"started": "0001-01-01T00:00:00+14:00"}, 0.5),
        ({"started": "9999-12-31T23:59:59-14:00"}, 0.5),
        ({"seed": 10**400, "steps": 10**400, "tokens": 10**400}, 0.5),
        ({"best_step": -5}, 0.5),
        ({"losses": {"-3": 1.7e308, "5": -1.7e308}}, 0.5),
    ],
    ids=str,
)
def test_odd_but_valid_records_are_shown(
    runs: Path, put: Put, parts: dict[str, Any], score: float | None
) -> None:
    mixer: dict[str, Any] = {"name": "odd", "options": {}, "kernel": None, "family": "x"}
    place(runs, "odd", changed(put, runs, mixer=mixer, **parts))
    whole = checked(runs)
    assert whole.problems == ()
    means = {
        row.label: row.summary.mean if row.summary else None
        for track in whole.tracks
        for row in track.rows
    }
    assert means == {"good": 0.5, "odd": score}


def test_hostile_text_in_every_field_is_only_text(runs: Path, put: Put) -> None:
    for i, name in enumerate(
        ["</script>", "=cmd()", "a\u202eb", "\u200b", "[red]", "\x1b[2J", "{{7*7}}", "\x00", ""]
    ):
        put(
            mixer=name, task=name, task_id=name, protocol=name, family=name, kernel=name,
            device=name, precision=name, headline=name, run_id=f"{i}{name}",
            options={name: name}, config={name: name}, started=name,
        )  # fmt: skip
    whole = checked(runs)
    assert whole.problems == ()
    assert sum(len(track.rows) for track in whole.tracks) == 10


def test_a_run_that_was_copied_counts_once(runs: Path) -> None:
    text = (runs / "0" / "record.json").read_text()
    place(runs, "copy", text)
    whole = checked(runs)
    (row,) = whole.tracks[0].rows
    assert (whole.problems, row.planned) == ((), 1)


@pytest.mark.parametrize("order", [("a", "z"), ("z", "a")])
def test_of_one_id_with_two_contents_the_newest_counts_and_it_is_said(
    runs: Path, put: Put, order: tuple[str, str]
) -> None:
    old, new = order
    place(runs, old, changed(put, runs, seconds=1.0, started="2026-01-01T00:00:00Z", seed=3))
    place(runs, new, changed(put, runs, seconds=2.0, started="2026-01-02T00:00:00Z", seed=4))
    whole = checked(runs)
    (problem,) = whole.problems
    assert "run bad" in problem
    seconds = {r.seconds for track in whole.tracks for row in track.rows for r in row.records}
    assert seconds == {12.5, 2.0}


def test_the_same_run_on_two_machines_is_two_results(runs: Path, put: Put) -> None:
    env = json.loads((runs / "0" / "record.json").read_text())["env"]
    place(runs, "a", changed(put, runs))
    place(runs, "b", changed(put, runs, env={**env, "device": "another"}))
    whole = checked(runs)
    assert whole.problems == ()
    assert sum(len(track.rows) for track in whole.tracks) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_golden_records_of_every_schema_are_shown(runs: Path, version: int) -> None:
    golden = (GOLDEN / f"schema_{version}.json").read_text()
    assert json.loads(golden)["schema_version"] == version
    place(runs, "golden", golden)
    whole = checked(runs)
    assert whole.problems == ()
    rows = [row for track in whole.tracks for row in track.rows if row.label != "good"]
    assert [row.first.run_id for row in rows] == [json.loads(golden)["run_id"]]
    assert rows[0].summary is not None


def test_what_an_older_schema_did_not_keep_is_said_in_the_record(runs: Path) -> None:
    place(runs, "golden", (GOLDEN / "schema_1.json").read_text())
    whole = document(checked(runs))
    (row,) = [r for t in whole["tracks"] for r in t["rows"] if r["mixer"] == "mamba"]
    assert row["losses"] == row["validated"] == []
    assert "schema 2" in row["runs"][0]["missing"]["losses"]


@pytest.mark.parametrize("name", ["cut", "array", "deep", "not_utf8", "no_version", "empty"])
def test_a_broken_profile_is_named(runs: Path, name: str) -> None:
    place(runs, name, BROKEN[name], "profile.json")
    only_problem(runs, name)


def test_the_golden_profile_is_shown_and_told_once(runs: Path) -> None:
    golden = (GOLDEN / "profile_1.json").read_text()
    for name in ("a", "copy"):
        place(runs, name, golden, "profile.json")
    whole = checked(runs)
    assert whole.problems == ()
    assert [profile.mixer for profile in whole.profiles] == ["mamba"]
    (group,) = document(whole)["profiles"]
    lengths = [point["length"] for point in json.loads(golden)["points"]]
    (row,) = group["rows"]
    assert [point["length"] for point in row["points"]] == lengths


def test_a_profile_of_another_schema_is_refused_by_name(runs: Path) -> None:
    golden = json.loads((GOLDEN / "profile_1.json").read_text())
    text = json.dumps({**golden, "schema_version": 7})
    place(runs, "new", text, "profile.json")
    assert "schema 7" in only_problem(runs, "new")


def test_profiles_alone_make_a_board(runs: Path) -> None:
    (runs / "0" / "record.json").unlink()
    place(runs, "a", (GOLDEN / "profile_1.json").read_text(), "profile.json")
    whole = checked(runs)
    assert (whole.tracks, len(whole.profiles)) == ((), 1)


def test_of_one_profile_measured_twice_the_later_session_counts(runs: Path) -> None:
    golden = json.loads((GOLDEN / "profile_1.json").read_text())
    for name, session in (("a", "2027-01-02T00:00:00"), ("b", "2027-01-01T00:00:00")):
        text = json.dumps({**golden, "session": session})
        place(runs, name, text, "profile.json")
    assert [profile.session for profile in checked(runs).profiles] == ["2027-01-02T00:00:00"]


def test_collecting_garbage_is_left_as_it_was() -> None:
    for wanted in (True, False):
        (gc.enable if wanted else gc.disable)()
        try:
            with unhurried(), unhurried():
                assert not gc.isenabled()
            assert gc.isenabled() is wanted
            assert gc.get_freeze_count() == 0
        finally:
            gc.enable()


def test_a_loop_made_meanwhile_is_still_collected() -> None:
    class Loop:
        pass

    with unhurried():
        loop = Loop()
        loop.itself = loop  # type: ignore[attr-defined]
        gone = weakref.ref(loop)
        del loop
    gc.collect()
    assert gone() is None


def test_files_are_read_in_the_order_of_their_paths(runs: Path, put: Put) -> None:
    for name in ("b/z", "b/a", "a", "c"):
        place(runs, name, b"{")
    (runs / "b" / "record.json").write_bytes(b"{")
    problems = board(runs).problems
    assert [problem.partition(": ")[0] for problem in problems] == [
        str(runs / name / "record.json") for name in ("a", "b", "b/a", "b/z", "c")
    ]
