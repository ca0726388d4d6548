"""``run-suite schema``: the schemas, from the step classes that are installed."""

from __future__ import annotations

import argparse
import json

from vmsuite.configuration import ConfigurationFields
from vmsuite.errors import UsageError
from vmsuite.findings import nearest
from vmsuite.registry import load_registry
from vmsuite.validation import SchemaBook


def run(options: argparse.Namespace) -> int:
    """Print one schema or the list, write all, or compare a folder with the code."""
    book = SchemaBook(load_registry(), ConfigurationFields)
    if options.write is not None:
        book.write(options.write)
        print(f"wrote {len(book.files())} schemas to {options.write}")
        return 0
    if options.check is not None:
        differences = book.differences(options.check)
        for difference in differences:
            print(difference)
        if differences:
            print(f"run: run-suite schema --write {options.check}")
        return 1 if differences else 0
    files = book.files()
    if options.name is None:
        print("\n".join(sorted(files)))
        return 0
    name = options.name.removesuffix(".schema.json") + ".schema.json"
    if name not in files:
        raise UsageError(f"no schema {options.name!r}", hint=nearest(name, files))
    print(json.dumps(files[name], indent=2, ensure_ascii=False))
    return 0
