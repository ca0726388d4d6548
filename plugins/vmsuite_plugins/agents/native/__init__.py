"""The native agent: one Python file that is copied into any Linux guest."""
