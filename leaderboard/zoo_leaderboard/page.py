"""The page: one offline file that draws itself from the document and loads nothing."""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from zoo_leaderboard.bundle import bundle
from zoo_leaderboard.charts import specs
from zoo_leaderboard.document import document
from zoo_leaderboard.read import Board

TEMPLATES = "templates"
STYLES = ("page.css", "views.css")
SCRIPTS = (
    "core", "table", "stats", "front", "board", "controls", "compare", "provenance", "export",
    "pareto", "curves", "suites", "efficiency", "published", "findings", "main",
)  # fmt: skip
"""Joined in this order into one module, so that no name of ours is a global."""


def page(board: Board, vega: str | None = None, live: bool = False) -> bytes:
    """HTML that works from a file; ``vega`` replaces the charts' JavaScript in tests.

    ``live`` adds the script that asks the server of `zoo leaderboard --serve` for news. What comes
    from records stands in the JSON island alone, and from there it enters the page as text.
    """
    whole = document(board)
    css = "\n".join(map(own, STYLES))
    scripts = [bundle() if vega is None else vega, "\n".join(own(f"js/{n}.js") for n in SCRIPTS)]
    if live:
        from zoo_leaderboard.serve import SCRIPT

        scripts.append(SCRIPT)
    text = Template(own("page.html")).substitute(
        policy=escape(policy(scripts, css, live)),
        css=css,
        island=island({"document": whole, "specs": specs(whole)}),
        scripts="\n".join(f'<script type="module">{script}</script>' for script in scripts),
    )
    return text.encode()


def policy(scripts: Sequence[str], css: str, live: bool) -> str:
    """What the browser may run, by its digest: exactly what is here, and no network."""
    parts = {
        "default-src": "'none'",
        "script-src": " ".join(map(digest, scripts)),
        "style-src": digest(css),
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        **({"connect-src": "'self'"} if live else {}),
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def digest(text: str) -> str:
    """A source as the policy names it; a browser reads CRLF as LF, so there may be no CR."""
    assert "\r" not in text
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def own(name: str) -> str:
    """One of our own files as it is; nothing from a record is ever put into it."""
    return (files("zoo_leaderboard") / TEMPLATES / name).read_text(encoding="utf-8")


def island(content: Any) -> str:
    """JSON that cannot end the script element it stands in, nor start a comment there."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
