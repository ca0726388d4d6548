"""How large and how deep a suite file may be."""

MAX_BYTES = 64 << 20
"""A larger file is refused unread."""

MAX_DEPTH = 64
"""Containers in containers; validation, too, walks a document by recursion."""

MAX_ALIASED = 500_000
"""Values that all aliases and merges of a YAML file may stand for together."""

MAX_FINDINGS = 100
"""After so many a file is not read on."""

MAX_DIGITS = 300
"""Digits an integer may have: more fit no float, and far more cannot be printed."""
