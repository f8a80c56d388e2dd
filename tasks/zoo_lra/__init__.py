"""zoo_lra."""
