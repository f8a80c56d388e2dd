"""The wheel ships zoo* and nothing else at top level."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_every_package_and_no_generic_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    shipped = {top for top in tops if not top.endswith(".dist-info")}
    on_disk = {
        p.parent.name
        for room in (".", "plugins", "tasks", "leaderboard")
        for p in (ROOT / room).glob("zoo*/__init__.py")
    }
    assert shipped == on_disk
    assert {f"{package}/py.typed" for package in on_disk} <= set(names)
    beside = {p.name for p in (ROOT / "leaderboard/zoo_leaderboard").rglob("*.html")}
    assert beside <= {Path(name).name for name in names}
