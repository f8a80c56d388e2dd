"""What several rooms need: a stranger's plugin on the path, a folder for runs."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# before torch is imported: one thread a worker, or they spend their time waiting for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

# a shell has what it runs in the background ignore Ctrl-C, and the tests of it would wait in vain
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Install = Callable[[str, str], Path]


@pytest.fixture(autouse=True, scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests generate is kept for the session, and never in the user's cache."""
    os.environ["ZOO_DATA"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has runs of its own."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("ZOO_RUNS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def compiler() -> Iterator[None]:
    """What one test compiles counts against no other: torch gives up on code compiled 8 times."""
    yield
    if dynamo := sys.modules.get("torch._dynamo"):
        dynamo.reset()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a one-module distribution as pip would lay it out; returns the site folder."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))

    def write(dist: str, source: str) -> Path:
        module = dist.replace("-", "_")
        info = site / f"{module}-0.1.0.dist-info"
        info.mkdir()
        (site / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[zoo.plugins]\n{module} = {module}\n")
        return site

    return write
