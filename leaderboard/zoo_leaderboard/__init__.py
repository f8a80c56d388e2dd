"""zoo_leaderboard."""
