"""zoo_position."""
