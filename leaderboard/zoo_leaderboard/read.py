"""The board: all that is shown, read from the records below one folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import ZooError
from zoo_leaderboard.arrange import arrange
from zoo_leaderboard.files import gather, unhurried
from zoo_leaderboard.track import Track

if TYPE_CHECKING:
    from zoo.profile.record import Profile


@dataclass(frozen=True)
class Board:
    """All that is shown: tracks in order, profiles, and what could not be read."""

    tracks: tuple[Track, ...]
    profiles: "tuple[Profile, ...]"
    problems: tuple[str, ...]


def board(folder: Path, empty_ok: bool = False) -> Board:
    """Read every record and profile below ``folder``.

    Raises ZooError when there is nothing at all to show, unless ``empty_ok``.
    """
    with unhurried():
        records, profiles, problems = gather(folder)
        tracks, unfit = arrange(records)
    whole = Board(tracks, tuple(distinct(profiles)), (*problems, *unfit))
    if not (whole.tracks or whole.profiles or empty_ok):
        what = f"{len(whole.problems)} unreadable and no other" if whole.problems else "no"
        listed = "".join(f"\n  {problem}" for problem in whole.problems)
        raise ZooError(
            f"{what} record.json below {str(folder)!r}; type `zoo run task=lra/listops "
            f"mixer=mamba`, or name a folder with --runs FOLDER{listed}"
        )
    return whole


def distinct(profiles: "list[Profile]") -> "list[Profile]":
    """Each profile once, the one of the last session; copies of one folder are common."""
    last: dict[str, Profile] = {}
    for profile in profiles:
        seen = last.get(profile.profile_id)
        if seen is None or profile.session > seen.session:
            last[profile.profile_id] = profile
    return list(last.values())
