"""The leaderboard: reads records, sets quality against cost; a plugin like any other."""

import zoo


@zoo.hookimpl
def zoo_commands() -> dict[str, str]:
    """Offer `zoo leaderboard` and `zoo compare`."""
    return {
        "leaderboard": "zoo_leaderboard.command:leaderboard",
        "compare": "zoo_leaderboard.compare_command:compare",
    }
