"""zoo_synthetic."""
