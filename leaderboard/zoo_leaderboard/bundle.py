"""The chart's JavaScript: Vega-Lite as one file out of the vl-convert wheel, kept on disk."""

import re
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from zoo.record import atomic_write

# Vega's own top-level names would clash with ours, so only this one leaves its module.
SNIPPET = "window.vegaEmbed=vegaEmbed;"


def bundle() -> str:
    """Made once per version of vl-convert, which takes seconds; then read from the user's cache."""
    place = cached()
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        made = harmless(make())
    try:
        atomic_write(place, made.encode())
    except OSError:
        return made  # a home that cannot be written to costs time, nothing else
    return made


def cached() -> Path:
    """A name that changes with the version and with what we ask of it."""
    from platformdirs import user_cache_path

    asked = sha256(SNIPPET.encode()).hexdigest()[:8]
    return user_cache_path("mixer-zoo") / f"vega-{version('vl-convert-python')}-{asked}.js"


def make() -> str:
    """Ask vl-convert, which carries the sources; no network."""
    import vl_convert

    return str(vl_convert.javascript_bundle(SNIPPET))


def harmless(script: str) -> str:
    """The same script, without what would end a script element in the middle of a string."""
    return re.sub("<(/script|!--)", r"<\\\1", script, flags=re.IGNORECASE)
