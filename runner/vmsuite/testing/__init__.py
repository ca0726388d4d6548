"""Fakes and contract tests for every seam, for this project and for plugins."""
