"""Checks how suites are written, and describes it: findings and JSON Schemas.

``Validator.check`` returns the findings about a document; ``SchemaBook`` holds the
schemas of what is installed. Both come from the typed fields of step classes, driver
settings, and the classes of ``vmsuite.validation.fields``.
"""

from vmsuite.validation.parts import is_variable_source
from vmsuite.validation.reserved import MissingPlugin
from vmsuite.validation.schema_book import SchemaBook
from vmsuite.validation.validator import Validator

__all__ = ["MissingPlugin", "SchemaBook", "Validator", "is_variable_source"]
