"""Runs a plan: machines, steps and companions, and says what happened in events."""
