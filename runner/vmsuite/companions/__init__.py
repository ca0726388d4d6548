"""Host programs that run beside cases: where they lie, what they say, their builds.

What runs them in a case is ``vmsuite.engine.companions``.
"""

from vmsuite.companions.building import (
    Built,
    build,
    build_all,
    is_built,
    results_of,
)
from vmsuite.companions.catalogue import (
    FOLDER,
    PROGRAM_VARIABLE,
    Catalogue,
    Program,
    check_companion,
    command_of,
    expand,
)
from vmsuite.companions.definition import (
    FILE_NAME,
    Definition,
    Needs,
    ReadyWhen,
    load_definition,
)
from vmsuite.companions.listing import Listed, list_companions

__all__ = [
    "FILE_NAME",
    "FOLDER",
    "PROGRAM_VARIABLE",
    "Built",
    "Catalogue",
    "Definition",
    "Listed",
    "Needs",
    "Program",
    "ReadyWhen",
    "build",
    "build_all",
    "check_companion",
    "command_of",
    "expand",
    "is_built",
    "list_companions",
    "load_definition",
    "results_of",
]
