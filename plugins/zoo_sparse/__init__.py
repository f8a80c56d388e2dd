"""zoo_sparse."""
