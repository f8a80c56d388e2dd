"""Words of the zoo's own, and one rule for names that become folders."""

import re
from typing import Literal

from zoo.errors import ZooError

Budget = Literal["smoke", "cpu", "gpu", "paper"]
Split = Literal["train", "valid", "test"]

SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{i}" for p in ("com", "lpt") for i in range(1, 10))}

COMMANDS = frozenset(
    {"run", "profile", "list", "check", "sample", "new", "data", "plugins", "doctor"}
)
RESERVED_NAMES = COMMANDS | {"hybrid", "auto", "downloads"}
"""Words of the core's own, which no plugin can take."""


def slug(name: str, what: str) -> str:
    """``name`` if it may be a folder's; raises ZooError that says what may."""
    for part in name.split("/"):
        if not SLUG.fullmatch(part) or part.split(".")[0] in RESERVED or part.endswith("."):
            raise ZooError(
                f"{what}={name!r} cannot be a name: use 1 to 64 of a-z 0-9 _ . -, starting with a "
                "letter or digit"
            )
    return name
