"""zoo_attention."""
