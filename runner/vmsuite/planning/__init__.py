"""Turns suite files into a plan: all resolved, all checked, nothing run."""
