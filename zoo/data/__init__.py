"""Data by one command: what a source is, how it comes here whole, and how that is told."""
