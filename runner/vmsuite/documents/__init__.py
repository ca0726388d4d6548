"""Turn suite files into values that remember where they were written.

``read`` and ``parse`` give a ``Document`` or raise ``InvalidSuite`` with every finding
as ``file:line:col``. Its containers are ``LocatedDict`` and ``LocatedList``, which are
dicts and lists; scalars are plain. ``derive`` locates containers that a program made.
"""

from vmsuite.documents.document import Document
from vmsuite.documents.located import LocatedDict, LocatedList, derive
from vmsuite.documents.reading import FORMATS, parse, read

__all__ = [
    "FORMATS",
    "Document",
    "LocatedDict",
    "LocatedList",
    "derive",
    "parse",
    "read",
]
