"""zoo_ssm."""
