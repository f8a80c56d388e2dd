"""zoo_lm."""
