"""Records are whole or not there, strict when written, and named when unreadable."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import zoo
from zoo.record import LARGEST, SCHEMA, Record, atomic_write, read, read_all, write


def content(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": "0123456789ab",
        "status": "ok",
        "task": {"name": "copy", "id": "abc", "protocol": "zoo", "budget": "smoke"},
        "mixer": {"name": "mamba", "options": {}, "kernel": "chunked", "family": "ssm"},
        "config": {"seed": 0},
        "config_sha256": "ff",
        "seed": 0,
        "metrics": {"accuracy": {"value": 0.5, "split": "test", "higher_is_better": True, "n": 9}},
        "headline": "accuracy",
        "env": {
            "commit": None,
            "dirty": None,
            "python": "3.11",
            "torch": "2.13",
            "device": "cpu",
            "precision": "32",
            "deterministic": True,
            "plugins": {},
        },
        "data": {"name": "copy", "sha256": None, "source": "generated"},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "steps": 10,
        "tokens": 100,
        **changes,
    }


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = Record.model_validate(content(curve={8: 0.5, 512: 0.25}))
    write(record, tmp_path / "a" / "record.json")
    assert read(tmp_path / "a" / "record.json") == record
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["record.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        Record.model_validate(content(seconds=value))
    with pytest.raises(ValidationError):
        Record.model_validate(content(curve={8: value}))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        Record.model_validate(content(surprise=1))


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    path.write_text("before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.record.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, b"after")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


BROKEN = {
    "truncated": json.dumps(content(schema_version=1))[:80],
    "empty": "",
    "a list": "[]",
    "newer": json.dumps(content(schema_version=99)),
    "wrong type": json.dumps(content(schema_version=1, seed="x")),
    "old with a list": json.dumps(content(schema_version=1, missing=["x"])),
    "NaN": json.dumps(content(schema_version=1, seconds=float("nan"))),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("version", [0, -1, 3, 99, "1", "2", 1.5, 2.0, True, None])
def test_a_schema_that_is_not_known_is_refused_by_name(tmp_path: Path, version: object) -> None:
    (tmp_path / "record.json").write_text(json.dumps(content() | {"schema_version": version}))
    with pytest.raises(zoo.DataError, match=rf"record.json: schema {version}; this zoo reads 1 to"):
        read(tmp_path / "record.json")


def test_an_older_record_is_migrated_and_its_file_stays(tmp_path: Path) -> None:
    old = content(schema_version=1, missing={"data.sha256": "drawn from seeds"})
    path = tmp_path / "record.json"
    path.write_text(json.dumps(old))
    record = read(path)
    assert record.schema_version == SCHEMA == 2
    assert (record.losses, record.validated, record.best_step) == ({}, {}, None)
    assert record.missing["data.sha256"] == "drawn from seeds"
    assert {"losses", "validated", "best_step"} <= record.missing.keys()
    assert json.loads(path.read_text()) == old
    write(record, path)
    assert read(path) == record


def test_a_record_is_utf8_wherever_it_is_read(tmp_path: Path) -> None:
    record = Record.model_validate(content(headline="Genauigkeit, größer"))
    write(record, tmp_path / "record.json")
    code = (
        "import sys, pathlib, zoo.record; "
        "print(ascii(zoo.record.read(pathlib.Path(sys.argv[1])).headline))"
    )
    told = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code, tmp_path / "record.json"],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == ascii(record.headline)


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unreadable_record_is_named_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    write(Record.model_validate(content()), tmp_path / "good" / "record.json")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text(BROKEN[kind])
    bad, good = read_all(tmp_path)
    assert isinstance(bad, zoo.DataError)
    assert str(tmp_path / "bad" / "record.json") in str(bad)
    assert isinstance(good, Record)


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "record.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(zoo.DataError, match="is no record"):
        read(tmp_path / "record.json")
