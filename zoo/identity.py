"""What a thing is, as a hash of its content."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(value: Mapping[str, Any]) -> str:
    """One text for one content: keys sorted, no NaN, no dependence on PYTHONHASHSEED."""
    return encode(value)


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical text."""
    return sha256(canonical(value).encode()).hexdigest()
