"""vmsuite runs declarative test suites against real virtual machines."""

__version__ = "0.1.0"
