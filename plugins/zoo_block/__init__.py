"""zoo_block."""
