"""Where a run happens: code, versions, device."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from zoo.plan import Plan, chosen
from zoo.record import Env


def environment(plan: Plan) -> tuple[Env, dict[str, str]]:
    """The record's env, and why a null in it is null."""
    config = plan.config
    commit, dirty = checkout(Path(__file__).parent)
    missing = {} if commit else {"env.commit": "zoo was not run from a git checkout"}
    names = {"mixer-zoo", *distributions(plan)}
    return Env(
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        torch=torch.__version__,
        device=device_name(config["device"]),
        precision=config["precision"],
        deterministic=config["deterministic"] or config["device"] == "cpu",
        plugins={name: installed(name) for name in sorted(names)},
    ), missing


def distributions(plan: Plan) -> set[str]:
    """Those that brought the classes of a run: plugins are labelled `dist:name`."""
    offers = [
        plan.registry.shelves[shelf].offers[name]
        for shelf, name in chosen(plan.registry, plan.config)
    ]
    return {offer.plugin.partition(":")[0] for offer in offers}


def installed(distribution: str) -> str:
    """Its version, or that it has none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


@cache
def checkout(folder: Path) -> tuple[str | None, bool | None]:
    """Commit of the checkout that holds ``folder``, and whether files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else a stranger's repository
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


@cache
def device_name(device: str) -> str:
    """The GPU's name, or the processor's with the number of threads torch uses."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {torch.get_num_threads()} threads"
