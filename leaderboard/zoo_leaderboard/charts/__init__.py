"""Every chart as a Vega-Lite spec: for the page, and as SVG and PNG without a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import DiskFull, ZooError
from zoo.identity import digest
from zoo.record import atomic_write
from zoo_leaderboard.charts import line, pareto, published, sweep
from zoo_leaderboard.charts.place import CROWD, PLACES, WIDTH
from zoo_leaderboard.charts.theme import DARK, DASHES, LIGHT, Spec, config, families
from zoo_leaderboard.read import Board

LONGEST = 150
"""Letters of a file name; file systems end at 255 bytes."""
DRAWN = ("train_tokens_per_s", "peak_memory_bytes", "params")
"""The costs that a file sets the score against; the page can do every pair."""


def specs(document: Spec) -> Spec:
    """What the page needs to draw: shapes without data, colours, and the charts of profiles."""
    return {
        "palette": {"light": LIGHT, "dark": DARK},
        "dashes": DASHES,
        "names": {"places": PLACES, "widest": WIDTH, "crowd": CROWD},
        "most": line.MOST,
        "families": families(document),
        "templates": {
            "pareto": pareto.shape(),
            "length": line.shape(points=True),
            "training": line.shape(points=False),
            "sweep": sweep.shape(),
            "published": published.shape(),
        },
        "profiles": {
            group["group"]: dict(profiled(document, group)) for group in document["profiles"]
        },
    }


def profiled(document: Spec, group: Spec) -> Iterator[tuple[str, Spec]]:
    """The charts of one group of profiles, in the colours of the whole board."""
    from zoo.profile.chart import charts

    yield from charts(group, families(document)).items()


def charts(board: Board) -> Iterator[tuple[str, Spec]]:
    """File stem and complete spec of every chart that has something to show."""
    from zoo_leaderboard.document import document

    yield from drawn(document(board))


def drawn(document: Spec) -> Iterator[tuple[str, Spec]]:
    """The same from the document itself."""
    for track in document["tracks"]:
        made: dict[str, Spec | None] = {
            **{f"pareto-{key}": pareto.chart(document, track, key) for key in DRAWN},
            "length": line.length(document, track),
            "losses": line.losses(document, track),
            "validated": line.validated(document, track),
            "sweep": sweep.sweep(document, track),
        }
        stem = (track["task"], track["protocol"], track["budget"], track["track"])
        for name, spec in made.items():
            if spec is not None:
                yield safe(*stem, name), framed(spec, heading(track), track["note"])
    for task, metric in published.tasks(document):
        spec = published.chart(document, task, metric)
        if spec is not None:
            title = f"{task}: published (hollow) and ours (filled; pale: not comparable)"
            yield safe("published", task, metric), framed(spec, title, "")
    for group in document["profiles"]:
        for name, spec in profiled(document, group):
            yield safe(group["group"], name), spec


def heading(track: Spec) -> str:
    """The conditions, without which no chart may leave the page."""
    return " · ".join(track[key] for key in ("task", "protocol", "budget", "device", "precision"))


def framed(spec: Spec, title: str, note: str) -> Spec:
    """The chart with its title, what must not be missed below it, and the look of paper."""
    name: dict[str, Any] = {"text": title}
    if note:
        name |= {"subtitle": note, "subtitleColor": "#7a4b00", "subtitleFontWeight": "bold"}
    return {"width": 640, "height": pareto.HEIGHT, **spec, "title": name, "config": config()}


def safe(*words: str) -> str:
    """A file name out of names in a record: nothing that a path could be made of, none too long."""
    name = "-".join(words)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}-{digest({'name': name})[:12]}"


def save(board: Board, folder: Path) -> list[Path]:
    """Write every chart as SVG and PNG; raises ZooError that names the folder."""
    import vl_convert

    written = []
    for stem, spec in charts(board):
        svg = str(vl_convert.vegalite_to_svg(spec)).encode()
        png = bytes(vl_convert.vegalite_to_png(spec, scale=2))
        for content, kind in ((svg, "svg"), (png, "png")):
            path = folder / f"{stem}.{kind}"
            try:
                atomic_write(path, content)
            except OSError as error:
                raise (DiskFull if error.errno == 28 else ZooError)(
                    f"--charts {folder}: {error.strerror}; name a folder you may write to"
                ) from error
            written.append(path)
    return written
