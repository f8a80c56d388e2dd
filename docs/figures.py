"""Figures of the docs: SVG that names what it is drawn from."""

from pathlib import Path
from typing import Any

import vl_convert

from zoo.identity import digest


def figure(spec: dict[str, Any]) -> bytes:
    """A chart with its spec's digest: fonts, and so letters' widths, differ by machine."""
    drawn = str(vl_convert.vegalite_to_svg(spec))
    return f"{drawn}\n<!-- {digest(spec)} -->\n".encode()


def same(path: Path, content: bytes) -> bool:
    """Is the file what it should be? Of a figure: is it drawn from the same?"""
    if not path.exists():
        return False
    pair = (path.read_bytes(), content)
    if path.suffix == ".svg":
        pair = (pair[0].rpartition(b"<!--")[2], pair[1].rpartition(b"<!--")[2])
    return pair[0] == pair[1]
