"""Score against length of every track below a folder of records, as SVG: no browser needed.

python bench/curve_plot.py leaderboard/records docs/positions.svg --task copy
"""

import argparse
from pathlib import Path

import vl_convert

from zoo_leaderboard.charts.line import length
from zoo_leaderboard.document import document
from zoo_leaderboard.read import board


def main() -> None:
    """One task has one track here, or the user names fewer records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--task", required=True)
    asked = parser.parse_args()
    whole = document(board(asked.records))
    (track,) = [one for one in whole["tracks"] if one["task"] == asked.task]
    made = length(whole, track)
    if made is None:
        parser.error(f"the records of {asked.task} hold no curve")
    config = {"font": "sans-serif", "view": {"stroke": None}}
    drawn = {"width": 560, "height": 320, "background": "white", "config": config, **made}
    asked.svg.write_text(vl_convert.vegalite_to_svg(drawn))


if __name__ == "__main__":
    main()
