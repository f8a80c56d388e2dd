"""zoo_linear."""
