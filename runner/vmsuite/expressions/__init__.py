"""Templates and expressions: ``{{ ... }}`` in suites, checked early, rendered once."""

from vmsuite.expressions.failure import ExpressionError
from vmsuite.expressions.templates import Pointer, Templates, Trouble

__all__ = ["ExpressionError", "Pointer", "Templates", "Trouble"]
