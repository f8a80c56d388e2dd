"""Who may import whom: plugins see the core, the core sees no plugin, floors only look down."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"errors", "identity"},
    {"names", "record", "kernel", "flops", "count", "memory"},
    {"data", "position"},
    {"ops"},
    {"mixer"},
    {"channel", "nn"},
    {"block", "head", "attention"},
    {"task"},
    {"hooks"},
    {"registry", "options", "keys"},
    {"bidirectional", "model", "config"},
    {"match", "testing", "scaffold", "build"},
    {"plan"},
    {"evaluate", "environment"},
    {"measure"},
    {"signals", "progress", "checkpoint", "conductor", "verdict"},
    {"callbacks"},
    {"train"},
    {"runner"},
    {"grid"},
    {"report"},
    {"commands", "data_commands", "catalogue", "profile"},
    {"cli"},
    {"__main__"},
]
FILES = [
    path
    for room in ("zoo", "plugins", "tasks", "leaderboard")
    for path in (ROOT / room).rglob("*.py")
]
BOARD = {"zoo.record", "zoo.profile", "zoo.errors", "zoo.identity"}
"""The leaderboard is no mixer or task: it reads records, which are no part of the plugin's face."""


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] == "zoo" else parts[1]


def test_a_package_sees_itself_and_the_core_only() -> None:
    for path in FILES:
        foreign = {n for n in imports(path) if n.split(".")[0].startswith("zoo_")}
        foreign = {n for n in foreign if n.split(".")[0] != package(path)}
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_a_plugin_imports_the_face_of_the_core_only() -> None:
    for path in FILES:
        if package(path) == "zoo":
            continue
        deeper = {name for name in imports(path) if name.startswith("zoo.")}
        if path.name.endswith("_numba.py"):  # it cannot be on the face, which needs no numba
            deeper = {n for n in deeper if not n.startswith("zoo.ops.vector_math")}
        if package(path) == "zoo_leaderboard":
            deeper = {n for n in deeper if not any(n.startswith(door) for door in BOARD)}
        assert not deeper, f"{path.relative_to(ROOT)} imports {deeper}; `import zoo` has the face"


def test_a_floor_of_the_core_looks_down_only() -> None:
    known = set().union(*FLOORS)
    inside = (ROOT / "zoo").iterdir()
    rooms = {p.stem for p in inside if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert known == rooms - {"__init__"}
    for height, floor in enumerate(FLOORS):
        above = {f"zoo.{name}" for names in FLOORS[height:] for name in names}
        for name in floor:
            files = sorted((ROOT / "zoo" / name).glob("*.py")) or [ROOT / "zoo" / f"{name}.py"]
            up = set().union(*map(imports, files)) & above - {f"zoo.{name}"}
            assert not up, f"{name} of zoo/ looks up to {up}"


def test_only_training_imports_lightning() -> None:
    users = {p.stem for p in FILES if any(n.split(".")[0] == "lightning" for n in imports(p))}
    assert users == {"train", "callbacks", "checkpoint", "conductor"}


def test_shapes_are_checked_in_every_package_of_plugins() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    (checked,) = [o for o in options["addopts"] if o.startswith("--jaxtyping-packages=")]
    *packages, checker = checked.partition("=")[2].split(",")
    assert packages == sorted(path.parent.name for path in ROOT.glob("plugins/*/__init__.py"))
    assert checker == "beartype.beartype"
