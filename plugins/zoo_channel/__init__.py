"""zoo_channel."""
